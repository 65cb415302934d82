// Package pushtest imitates the servers that tokens are pushed to, for tests: privacyIDEA, LinOTP and Keycloak. It is written from
// reference key-files.md §4, §5, §8.3 and the servers' documents, apart from the clients and without their code, so that a mistake of theirs
// is refused as the real server would refuse it. What the documents leave open is decided the strict way.
package pushtest

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// The credential that all doubles accept.
const (
	Account  = "desk"
	Password = "correct horse & battery"
	Realm    = "campus"
)

// Token is what a double holds.
type Token struct {
	Type    string
	Key     []byte
	Params  map[string]string
	User    string
	Active  bool
	Revoked bool
	Made    int // how often it was made: 1, unless somebody overwrote it
}

// Fault is what happens to one request instead of process.
type Fault func(w http.ResponseWriter, r *http.Request, process http.Handler)

// Fail answers an error without doing anything.
func Fail(status int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { http.Error(w, "it broke", status) }
}

// Drop does what is asked and closes the connection without an answer.
func Drop(_ http.ResponseWriter, r *http.Request, process http.Handler) {
	process.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// Hang answers nothing until the client gives up.
func Hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// Say answers something else.
func Say(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Redirect sends the client elsewhere with the method and body kept.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}
}

// Double is what the servers have in common. Its fields are guarded by Lock.
type Double struct {
	sync.Mutex
	*httptest.Server
	Tokens map[string]*Token
	Users  map[string]bool
	Logins int

	faults []fault
	seen   []string
	valid  map[string]bool // what was given at login
}

type fault struct {
	path string
	f    Fault
}

func start(t testing.TB, mux *http.ServeMux) *Double {
	d := &Double{Tokens: map[string]*Token{}, Users: map[string]bool{"alice": true, "bob": true, "carol": true, "dave": true}, valid: map[string]bool{}}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := d.note(r)
		if f == nil {
			mux.ServeHTTP(w, r)
			return
		}
		f(w, r, mux)
	}))
	d.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that refuse the certificate
	d.StartTLS()
	t.Cleanup(func() {
		d.CloseClientConnections()
		d.Server.Close()
	})
	return d
}

// note remembers what a proxy's log would show, and takes the next fault of the request.
func (d *Double) note(r *http.Request) Fault {
	d.Lock()
	defer d.Unlock()
	d.seen = append(d.seen, r.Method+" "+r.URL.String())
	for i, f := range d.faults {
		if strings.HasPrefix(r.Method+" "+r.URL.Path, f.path) {
			d.faults = append(d.faults[:i:i], d.faults[i+1:]...)
			return f.f
		}
	}
	return nil
}

// Fault lets the next requests that begin with path, such as "POST /auth", go wrong: one for each of list, in order.
func (d *Double) Fault(path string, list ...Fault) {
	d.Lock()
	defer d.Unlock()
	for _, f := range list {
		d.faults = append(d.faults, fault{path, f})
	}
}

// Expire ends every session.
func (d *Double) Expire() {
	d.Lock()
	defer d.Unlock()
	clear(d.valid)
}

// Seen are the methods and URLs so far.
func (d *Double) Seen() []string {
	d.Lock()
	defer d.Unlock()
	return append([]string(nil), d.seen...)
}

// Token is a copy of the token of a serial; its zero value if there is none.
func (d *Double) Token(serial string) Token {
	d.Lock()
	defer d.Unlock()
	if t := d.Tokens[serial]; t != nil {
		return *t
	}
	return Token{}
}

// give makes a session.
func (d *Double) give(prefix string) string {
	d.Lock()
	defer d.Unlock()
	d.Logins++
	s := prefix + strings.Repeat("x", d.Logins)
	d.valid[s] = true
	return s
}

func (d *Double) isValid(s string) bool {
	d.Lock()
	defer d.Unlock()
	return d.valid[s]
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

// form reads a body that says it is a form; nil otherwise.
func form(r *http.Request) url.Values {
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	v, err := url.ParseQuery(string(b))
	if err != nil {
		return nil
	}
	return v
}

// Echo answers with what the request held, as a careless or hostile server does.
func Echo(status int, contentType string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		b, _ := io.ReadAll(r.Body)
		Say(status, contentType, string(b))(w, r, nil)
	}
}

// EchoHeader answers with a response that is no HTTP and holds what the request held.
func EchoHeader(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	b, _ := io.ReadAll(r.Body)
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = c.Write(b)
	_ = c.Close()
}
