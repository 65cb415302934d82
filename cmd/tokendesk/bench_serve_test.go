package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// BenchmarkValidate measures durable successful validations a second: every OTP is of a key of its connection and fresh, requests and
// answers are signed, each has its audit event. Server and client are two processes, on the same machine.
//
// Beside it stand a handler that does nothing but send an answer of the same size; durable commits of one row, one after the other,
// in a database on the same disk; and Debian's yubiserver, which mixes up its answers from two connections on.
func BenchmarkValidate(b *testing.B) {
	r := newRig(b, 2)
	r.must("init")
	keys := importPressers(b, r, 64)
	c := r.client("bench")
	s := r.serve("--limit", "0")
	b.Cleanup(func() { s.stop(b, os.Interrupt) })
	for _, n := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { load{address: s.address, client: c, keys: keys, connections: n}.run(b) })
	}
}

func BenchmarkBare(b *testing.B) {
	r := newRig(b, 2)
	r.must("init")
	keys := importPressers(b, r, 64)
	for _, n := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			load{address: bare(b), client: relying{1, base64.StdEncoding.EncodeToString([]byte("secret"))}, keys: keys, connections: n}.run(b)
		})
	}
}

// BenchmarkCommit commits one row after the other, as durable as the store does it.
func BenchmarkCommit(b *testing.B) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "one.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(b.Context(), `CREATE TABLE one (n INTEGER); INSERT INTO one VALUES (0)`); err != nil {
		b.Fatal(err)
	}
	set, err := db.PrepareContext(b.Context(), `UPDATE one SET n = ?`)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for n := range b.N {
		if _, err := set.ExecContext(b.Context(), n); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// bareAnswer has the size of an answer of ours.
var bareAnswer = "h=2qKAahCrHB6EZevi/D8pq7dgvQ8=\r\nt=2024-05-06T07:08:09Z0123\r\notp=" + strings.Repeat("c", 44) + "\r\nnonce=" +
	strings.Repeat("n", 32) + "\r\nsl=0\r\nstatus=OK\r\n\r\n"

// bareMain serves bareAnswer on a free port of loopback, which it prints, until its standard input ends.
func bareMain() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, bareAnswer) }))
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func bare(b *testing.B) string {
	cmd := exec.CommandContext(b.Context(), "bare")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// load is a number of connections that ask one request after the other. The client is as lean as it can be, so that what is measured is
// the server.
type load struct {
	address     string
	client      relying
	keys        []*presser // at least one for each connection, which owns it
	connections int
}

func (l load) run(b *testing.B) {
	key, err := base64.StdEncoding.DecodeString(l.client.key)
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var all sync.WaitGroup
	took := make([][]time.Duration, l.connections)
	b.ResetTimer()
	for i := range l.connections {
		all.Go(func() {
			w := wire{address: l.address, key: secret.New(key), client: l.client.id}
			defer w.close()
			k := l.keys[i]
			for n := 0; next.Add(1) <= int64(b.N); n++ {
				k.pressed++
				start := time.Now()
				if err := w.ask(k.otp(k.pressed), fmt.Sprintf("%032x", k.pressed)); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	times := slices.Concat(took...)
	slices.Sort(times)
	b.ReportMetric(float64(len(times))/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(times[len(times)*99/100].Seconds()*1000, "p99-ms")
}

// wire is one connection.
type wire struct {
	address string
	key     secret.Bytes
	client  int64
	conn    net.Conn
	in      *bufio.Reader
	text    bytes.Buffer
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// ask sends one request, signed, and wants OK in an answer that is signed, or is bareAnswer.
func (w *wire) ask(otp, nonce string) (err error) {
	if w.conn == nil {
		if w.conn, err = net.Dial("tcp", w.address); err != nil {
			return err
		}
		w.in = bufio.NewReader(w.conn)
	}
	params := map[string]string{"id": strconv.FormatInt(w.client, 10), "otp": otp, "nonce": nonce}
	h := wsapi.Sign(w.key, params)
	w.text.Reset()
	fmt.Fprintf(&w.text, "GET /wsapi/2.0/verify?id=%d&otp=%s&nonce=%s&h=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", w.client, otp, nonce, url.QueryEscape(h))
	if _, err := w.conn.Write(w.text.Bytes()); err != nil {
		return err
	}
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.Close {
		w.close()
	}
	answer := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			answer[name] = value
		}
	}
	if right := wsapi.Sign(w.key, answer) == answer["h"]; !right && string(body) != bareAnswer || answer["status"] != "OK" {
		return fmt.Errorf("signed rightly: %v; %s", right, answer["status"])
	}
	return nil
}
