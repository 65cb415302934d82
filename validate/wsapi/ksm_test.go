package wsapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
	"github.com/tokendesk/tokendesk/validate/wsapi"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// told is an Observer that keeps what it was told.
type told struct {
	mu   sync.Mutex
	list []validate.Answered
}

func (o *told) Answered(_ context.Context, a validate.Answered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, a)
}

// last is the only event since the last call.
func (o *told) last(t testing.TB) validate.Answered {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.list) != 1 {
		t.Fatalf("%d events", len(o.list))
	}
	a := o.list[0]
	o.list = nil
	return a
}

// newKSM is a site with its KSM, of which client 1 may ask.
func newKSM(t testing.TB) (*site, *wsapi.KSM, *told) {
	t.Helper()
	s, o := newSite(t), new(told)
	limit(func(c *validate.Client) { c.Decrypt, c.Groups = true, nil })(s)
	return s, &wsapi.KSM{Verifier: validate.New(s.faults, clock), Clients: s.faults, Now: clock, Observer: o}, o
}

// line asks a handler as 192.0.2.7 does, or from elsewhere if change says so.
func line(t testing.TB, h http.Handler, target string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr, r.Host = "192.0.2.7:4711", "127.0.0.1:8086"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Body)
	text, ended := strings.CutSuffix(string(body), "\n")
	if w.Code != http.StatusMethodNotAllowed && (!ended || strings.ContainsAny(text, "\r\n") || w.Header().Get("Content-Type") != "text/plain") {
		t.Errorf("%q of type %q", body, w.Header().Get("Content-Type"))
	}
	return w.Code, text
}

func from(remote string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = remote } }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

// decrypt is the path of a signed question of client id.
func decrypt(t testing.TB, query string) string { return "/wsapi/decrypt?" + sign(t, query) }

// valRead reads an answer as yubikey-val does: it must begin with OK, and its sscanf pattern names the fields in this order.
func valRead(t testing.TB, line string) (counter, low, high, use int) {
	t.Helper()
	if !regexp.MustCompile(`^OK`).MatchString(line) {
		t.Fatalf("yubikey-val takes %q for an error", line)
	}
	if n, err := fmt.Sscanf(line, "OK counter=%04x low=%04x high=%02x use=%02x", &counter, &low, &high, &use); n != 4 || err != nil {
		t.Fatalf("yubikey-val finds %d fields in %q: %v", n, line, err)
	}
	return counter, low, high, use
}

// TestKSMRows are rows 68 to 70 of reference validation-protocol.md §18, and the rest of §12.
func TestKSMRows(t *testing.T) {
	t.Parallel()
	wrong := worked()
	wrong.PrivateID[0] ^= 1
	for _, tc := range []struct {
		n            int // 0: not in the table
		name, params string
		setup        func(*site)
		want         string
	}{
		{0, "good", "otp=" + workedOTP, nil, "OK counter=0001 low=03e8 high=00 use=00"},
		{0, "all of it", "otp=" + worked().Press(t, yubiotp.Token{UseCounter: 0x0ABC, SessionCounter: 0xDE, Timestamp: 0xF08D40}), nil, "OK counter=0abc low=8d40 high=f0 use=de"},
		{0, "bit 15", "otp=" + worked().Press(t, yubiotp.Token{UseCounter: 4, CapsFlag: true}), nil, "OK counter=0004 low=0000 high=00 use=00"},
		{68, "upper case", "otp=" + strings.ToUpper(workedOTP), nil, "ERR Invalid OTP format"},
		{68, "one letter upper case", "otp=V" + workedOTP[1:], nil, "ERR Invalid OTP format"},
		{68, "short", "otp=" + workedOTP[13:], nil, "ERR Invalid OTP format"},
		{68, "of 49", "otp=ccccc" + workedOTP, nil, "ERR Invalid OTP format"},
		{68, "Dvorak", "otp=" + dvorak(workedOTP), nil, "ERR Invalid OTP format"},
		{68, "a line end behind it", "otp=" + workedOTP + "%0A", nil, "ERR Invalid OTP format"},
		{68, "not ModHex", "otp=a" + workedOTP[1:], nil, "ERR Invalid OTP format"},
		{69, "no otp", "x=1", nil, "ERR No OTP provided"},
		{69, "otp empty", "otp=", nil, "ERR No OTP provided"},
		{70, "blocked", "otp=" + workedOTP, block, "ERR Unknown yubikey"},
		{0, "of 32, and no key without a public ID", "otp=" + workedOTP[12:], nil, "ERR Unknown yubikey"},
		{0, "of 33", "otp=" + workedOTP[11:], nil, "ERR Unknown yubikey"},
		{0, "unknown", "otp=cccccccccccc" + workedOTP[12:], nil, "ERR Unknown yubikey"},
		{0, "CRC", "otp=" + flip(workedOTP), nil, "ERR Corrupt OTP"},
		{0, "private ID", "otp=" + wrong.Press(t, yubiotp.Token{UseCounter: 1}), nil, "ERR Corrupt OTP"},
		{0, "store gone", "otp=" + workedOTP, func(s *site) { s.faults.find = errGone }, "ERR Database error"},
		{0, "another group's", "otp=" + workedOTP, limit(func(c *validate.Client) { c.Groups = []string{"staff"} }), "ERR Unknown yubikey"},
	} {
		s, k, o := newKSM(t)
		if tc.setup != nil {
			tc.setup(s)
		}
		before, _ := s.store.Find(t.Context(), worked().PublicID)
		code, got := line(t, k, decrypt(t, "id=1&"+tc.params))
		if code != http.StatusOK || got != tc.want {
			t.Errorf("row %d, %s: %d %q, want %q", tc.n, tc.name, code, got, tc.want)
		}
		a := o.last(t)
		if a.Door != validate.DoorKSM || a.Client != 1 || !a.Signed || a.Opened || a.Use != 0 || strings.Contains(fmt.Sprint(a), "counter=") {
			t.Errorf("%s: event %+v", tc.name, a)
		}
		if strings.HasPrefix(tc.want, "OK") {
			valRead(t, got)
		} else if a.Outcome != got {
			t.Errorf("%s: told %q", tc.name, a.Outcome)
		}
		after, _ := s.store.Find(t.Context(), worked().PublicID)
		if after.Row != before.Row || len(s.store.Events()) != 0 {
			t.Errorf("%s: decrypting changed the store", tc.name)
		}
	}
}

// TestKSMVectors reads the published OTPs as yubikey-val would. Source: reference validation-protocol.md §19.
func TestKSMVectors(t *testing.T) {
	t.Parallel()
	s, k, _ := newKSM(t)
	k.Loopback = true
	for _, tc := range []struct {
		id, key, private, otp, want string
		values                      [4]int
	}{
		{"idkfefrdhtru", "c68c9df8cbfe7d2f994cb904046c7218", "609963eae7b5", "idkfefrdhtrutjduvtcjbfeuvhehdvjjlbchtlenfgku", "OK counter=0001 low=8d40 high=0f use=00", [4]int{1, 0x8d40, 0x0f, 0}},
		{"dteffuje", "ecde18dbe76fbd0c33330f1c354871db", "8792ebfe26cc", "dteffujehknhfjbrjnlnldnhcujvddbikngjrtgh", "OK counter=0013 low=c230 high=00 use=11", [4]int{19, 0xc230, 0, 17}},
	} {
		add(t, s, credential(tc.id, tc.key, tc.private))
		_, got := line(t, k, "/wsapi/decrypt?otp="+tc.otp, from("127.0.0.1:1"))
		counter, low, high, use := valRead(t, got)
		if got != tc.want || [4]int{counter, low, high, use} != tc.values {
			t.Errorf("%s: %q", tc.id, got)
		}
	}
	if _, got := line(t, k, "/wsapi/decrypt?otp=idkfefrdhtrutjduvtcjbfeuvhehdvjjlbchtlenfgkv", from("[::1]:1")); got != "ERR Corrupt OTP" {
		t.Errorf("a changed letter: %q", got)
	}
}

func add(t testing.TB, s *site, c storetest.Credential) token.CredentialID {
	t.Helper()
	id, err := s.store.Add(c.PublicID, secret.Copy(c.Key[:]), secret.Copy(c.PrivateID[:]), c.State)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestKSMCallers is who may ask.
func TestKSMCallers(t *testing.T) {
	t.Parallel()
	const plain = "/wsapi/decrypt?otp=" + workedOTP
	verified := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
	}
	unasked := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	}
	unsign := func(q string) string { return "/wsapi/decrypt?" + q }
	grant := limit(func(c *validate.Client) { c.Groups = nil })
	deny := limit(func(c *validate.Client) { c.Decrypt = false })
	for _, tc := range []struct {
		name, target string
		setup        func(*site)
		change       []func(*http.Request)
		loopback     bool
		want         int
	}{
		{name: "signed", target: decrypt(t, "id=1&otp="+workedOTP), want: 200},
		{name: "signed, without the right", target: decrypt(t, "id=1&otp="+workedOTP), setup: deny, want: 403},
		{name: "unsigned", target: unsign("id=1&otp=" + workedOTP), want: 403},
		{name: "h empty", target: unsign("id=1&h=&otp=" + workedOTP), want: 403},
		{name: "h wrong", target: unsign("id=1&h=KdH2DNkXBEaHVMVDphFvaj5TUhs%3D&otp=" + workedOTP), want: 403},
		{name: "h of another OTP", target: strings.Replace(decrypt(t, "id=1&otp="+workedOTP), workedOTP, flip(workedOTP), 1), want: 403},
		{name: "disabled client", target: decrypt(t, "id=2&otp="+workedOTP), want: 403},
		{name: "unknown client", target: decrypt(t, "id=99&otp="+workedOTP), want: 403},
		{name: "otp twice", target: decrypt(t, "id=1&otp="+workedOTP) + "&otp=" + workedOTP, want: 403},
		{name: "not from there", target: decrypt(t, "id=1&otp="+workedOTP), setup: limit(func(c *validate.Client) { c.Groups, c.Networks = nil, prefixes("198.51.100.0/24") }), want: 403},
		{name: "from there", target: decrypt(t, "id=1&otp="+workedOTP), setup: limit(func(c *validate.Client) { c.Groups, c.Networks = nil, prefixes("192.0.2.0/24") }), want: 200},
		{name: "nobody", target: plain, want: 403},
		{name: "certificate", target: plain, change: []func(*http.Request){verified}, want: 200},
		{name: "a proxy's certificate", target: plain, change: []func(*http.Request){verified, header("X-Forwarded-For", "192.0.2.9")}, want: 403},
		{name: "certificate that nobody verified", target: plain, change: []func(*http.Request){unasked}, want: 403},
		{name: "this machine, not allowed", target: plain, change: []func(*http.Request){from("127.0.0.1:1")}, want: 403},
		{name: "this machine", target: plain, loopback: true, change: []func(*http.Request){from("127.0.0.1:1")}, want: 200},
		{name: "this machine, IPv6", target: plain, loopback: true, change: []func(*http.Request){from("[::1]:1")}, want: 200},
		{name: "this machine, mapped", target: plain, loopback: true, change: []func(*http.Request){from("[::ffff:127.0.0.1]:1")}, want: 200},
		{name: "a proxy of this machine", target: plain, loopback: true, change: []func(*http.Request){from("127.0.0.1:1"), header("X-Forwarded-For", "127.0.0.1")}, want: 403},
		{name: "a proxy that tells only of TLS", target: plain, loopback: true, change: []func(*http.Request){from("127.0.0.1:1"), header("X-Forwarded-Proto", "https")}, want: 403},
		{name: "a proxy that tells nothing", target: plain, loopback: true, change: []func(*http.Request){from("127.0.0.1:1"), host("desk.example.org")}, want: 403},
		{name: "this machine by name", target: plain, loopback: true, change: []func(*http.Request){from("127.0.0.1:1"), host("localhost:8086")}, want: 200},
		{name: "this machine, IPv6 with a port", target: plain, loopback: true, change: []func(*http.Request){from("[::1]:1"), host("[::1]:8086")}, want: 200},
		{name: "another machine", target: plain, loopback: true, want: 403},
		{name: "this machine, with a wrong h", target: unsign("id=1&h=x&otp=" + workedOTP), loopback: true, change: []func(*http.Request){from("127.0.0.1:1")}, want: 403},
		{name: "PUT", target: plain, loopback: true, change: []func(*http.Request){func(r *http.Request) { r.Method = http.MethodPut }}, want: 405},
	} {
		s, k, o := newKSM(t)
		grant(s)
		if tc.setup != nil {
			tc.setup(s)
		}
		k.Loopback = tc.loopback
		code, got := line(t, k, tc.target, tc.change...)
		if code != tc.want || code == 200 && !strings.HasPrefix(got, "OK ") || code == 403 && got != "ERR Not allowed" {
			t.Errorf("%s: %d %q, want %d", tc.name, code, got, tc.want)
		}
		if a := o.last(t); a.Status != tc.want || code == 403 && a.PublicID.Len() != 0 {
			t.Errorf("%s: event %+v", tc.name, a)
		}
	}
}

// TestKSMLimit: who asks too often is told so, and nothing is decrypted. Who may not ask at all has used nothing of the share.
func TestKSMLimit(t *testing.T) {
	t.Parallel()
	_, k, o := newKSM(t)
	var asked []int64
	k.Limit = func(c validate.Client, source string) bool {
		asked = append(asked, c.ID)
		return source == "192.0.2.7"
	}
	code, got := line(t, k, decrypt(t, "id=1&otp="+workedOTP))
	if a := o.last(t); code != http.StatusTooManyRequests || got != "ERR Too many requests" || !a.Limited {
		t.Errorf("%d %q %+v", code, got, a)
	}
	if code, _ := line(t, k, "/wsapi/decrypt?otp="+workedOTP); code != http.StatusForbidden || !slices.Equal(asked, []int64{1}) {
		t.Errorf("%d, asked %v", code, asked)
	}
}

// TestKSMForm: a form is read where the query is empty, as everywhere.
func TestKSMForm(t *testing.T) {
	t.Parallel()
	_, k, _ := newKSM(t)
	k.Loopback = true
	r := httptest.NewRequest(http.MethodPost, "/wsapi/decrypt", strings.NewReader(url.Values{"otp": {workedOTP}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
	w := httptest.NewRecorder()
	k.ServeHTTP(w, r)
	if w.Body.String() != "OK counter=0001 low=03e8 high=00 use=00\n" {
		t.Errorf("%q", w.Body)
	}
	for _, query := range []string{"otp=" + workedOTP + "&otp=" + workedOTP, "otp=%zz", "otp=" + workedOTP + "&x=" + strings.Repeat("x", 5000)} {
		if _, got := line(t, k, "/wsapi/decrypt?"+query, from("127.0.0.1:1")); got != "ERR Invalid OTP format" {
			t.Errorf("%.80s: %q", query, got)
		}
	}
}
