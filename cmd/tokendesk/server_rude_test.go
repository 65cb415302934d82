//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate/front"
)

// rude is a server and a key of it, for clients that do not behave.
type rude struct {
	*rig
	t    *testing.T
	s    *server
	key  *presser
	calm *presser // another key
	a    *asker
	next int
}

func newRude(t *testing.T) *rude {
	t.Helper()
	r := newRig(t, 2)
	r.must("init")
	keys := importPressers(t, r, 2)
	a := newAsker(t, r.client("mail"))
	return &rude{rig: r, t: t, s: r.serve("--limit", "0"), key: keys[0], calm: keys[1], a: a}
}

// polite asks as one should, and must get through at once.
func (r *rude) polite() {
	r.t.Helper()
	start := time.Now()
	r.calm.pressed++
	if _, err := r.calm.ask(r.t, r.a, r.s, r.calm.pressed, "OK"); err != nil {
		r.t.Error(err)
	}
	if took := time.Since(start); took > front.IdleTimeout/2 {
		r.t.Errorf("a well-behaved client waits %v", took)
	}
}

// query is a request with a fresh OTP and a nonce, which is returned.
func (r *rude) query() (text, nonce string) {
	r.key.pressed++
	r.next++
	nonce = fmt.Sprintf("rude%016d", r.next)
	return url.Values{"id": {fmt.Sprint(r.a.id)}, "nonce": {nonce}, "otp": {r.key.otp(r.key.pressed)}}.Encode(), nonce
}

func (r *rude) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.s.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(askTime))
	return c
}

// send writes text and returns what comes back until the server hangs up.
func (r *rude) send(text string) string {
	r.t.Helper()
	c := r.dial()
	_, _ = io.WriteString(c, text) // it may hang up before the end
	back, _ := io.ReadAll(c)
	return string(back)
}

// TestRudeRequests: what no client should send is answered by the protocol where it can be and by HTTP's own status otherwise, spends
// nothing that was not asked for, and disturbs nobody.
func TestRudeRequests(t *testing.T) {
	t.Parallel()
	r := newRude(t)
	get := func(target, header string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + "\r\n"
	}
	fresh, _ := r.query()
	verify := "/wsapi/2.0/verify?"
	for _, tc := range []struct{ name, send, status, body string }{
		{"a long OTP", get(verify+"id=1&nonce=abcdefghijklmnop&otp="+strings.Repeat("c", 10_000), ""), "200", "status=BAD_OTP"},
		{"a long parameter", get(verify+fresh+"&x="+strings.Repeat("c", 5_000), ""), "200", "status=MISSING_PARAMETER"},
		{"a long line", get(verify+fresh+"&x="+strings.Repeat("c", 30_000), ""), "431", ""},
		{"a long header", get(verify+fresh, "X: "+strings.Repeat("c", 30_000)+"\r\n"), "431", ""},
		{"many headers", get(verify+fresh, strings.Repeat("X: y\r\n", 8_000)), "431", ""},
		{"a blank in a header's name", get(verify+fresh, "X Y: z\r\n"), "400", ""},
		{"two lengths", "POST " + verify[:len(verify)-1] + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "400", ""},
		{"a length below 0", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400", ""},
		{"an unknown coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "501", ""},
		{"no host", "GET " + verify + fresh + " HTTP/1.1\r\n\r\n", "400", ""},
		{"two hosts", get(verify+fresh, "Host: y\r\n"), "400", ""},
		{"another version", "GET " + verify + fresh + " HTTP/3.0\r\nHost: x\r\n\r\n", "505", ""},
		{"the server as a whole", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "400", ""},
		{"HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", ""},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 100) + "\r\n\r\n", "400", ""},
		{"another method", "DELETE " + verify + fresh + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405", ""},
		{"a body that is too long", "POST " + verify[:len(verify)-1] + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\n" +
			strings.Repeat("c", 1_000_000), "200", "status=MISSING_PARAMETER"},
	} {
		back := r.send(tc.send)
		line, _, _ := strings.Cut(back, "\r\n")
		if f := strings.Fields(line); tc.status != "" && (len(f) < 2 || f[1] != tc.status) || !strings.Contains(back, tc.body) || strings.Contains(back, "status=OK") {
			t.Errorf("%s: %q, want %s %s\n%.300s", tc.name, line, tc.status, tc.body, back)
		}
		r.polite()
	}
	if back := r.send(get(verify+fresh, "")); !strings.Contains(back, "status=OK") {
		t.Errorf("the OTP that came with all of them is used up: %s", back)
	}
	r.a.hangUp()
	log, code := r.s.stop(t, syscall.SIGTERM)
	if code != 0 || strings.Contains(log, "panic") {
		t.Errorf("exit code %d\n%s", code, tail(log))
	}
}

// TestPipelining: requests that come in one go are answered one after the other, each with its own nonce.
func TestPipelining(t *testing.T) {
	t.Parallel()
	r := newRude(t)
	const n = 20
	var all strings.Builder
	var nonces []string
	for range n {
		query, nonce := r.query()
		fmt.Fprintf(&all, "GET /wsapi/2.0/verify?%s HTTP/1.1\r\nHost: x\r\n\r\n", query)
		nonces = append(nonces, nonce)
	}
	c := r.dial()
	if _, err := io.WriteString(c, all.String()); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	for i, nonce := range nonces {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		answer := parseAnswer(res.Body)
		_ = res.Body.Close() // read only
		if answer["status"] != "OK" || answer["nonce"] != nonce {
			t.Errorf("answer %d: %s %s, want %s", i, answer["status"], answer["nonce"], nonce)
		}
	}
}

// TestSlowClients: heads that never end and bodies that never come take their connections with them after a bound, spend nothing, and
// disturb nobody meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const many = 300
	r := newRude(t)
	form, _ := r.query()
	order := r.key.pressed
	var slow []net.Conn
	for i := range many {
		c := r.dial()
		text := "GET /wsapi/2.0/verify?" + form[:40]
		if i%2 == 1 {
			text = fmt.Sprintf("POST /wsapi/2.0/verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form[:40])
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	start := time.Now()
	var work sync.WaitGroup
	for _, c := range slow {
		work.Go(func() {
			if back, err := io.ReadAll(c); strings.Contains(string(back), "status=OK") {
				t.Errorf("%s %v", back, err)
			}
		})
	}
	gone := make(chan struct{})
	go func() {
		work.Wait()
		close(gone)
	}()
	for waiting := true; waiting; {
		select {
		case <-gone:
			waiting = false
		default:
			r.calm.pressed++
			if _, err := r.calm.ask(t, r.a, r.s, r.calm.pressed, "OK"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if took := time.Since(start); took > front.IdleTimeout { // without a bound, until we hang up
		t.Errorf("the last one was let go after %v", took)
	}
	if _, err := r.key.ask(t, r.a, r.s, order, "OK"); err != nil {
		t.Error("half of a request was done: ", err)
	}
	c := r.dial() // a body that breaks off
	form, _ = r.query()
	order = r.key.pressed
	_, _ = fmt.Fprintf(c, "POST /wsapi/2.0/verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form)+1, form)
	_ = c.Close()
	if _, err := r.key.ask(t, r.a, r.s, order, "OK"); err != nil {
		t.Error("a request that broke off was done: ", err)
	}
	r.a.hangUp()
	if log, code := r.s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, tail(log))
	}
}
