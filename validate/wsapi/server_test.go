package wsapi_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/eventlog"
	"github.com/tokendesk/tokendesk/validate/store/memory"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
	"github.com/tokendesk/tokendesk/validate/wsapi"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// The worked example of reference validation-protocol.md §4: client 1's key, the clock, the nonce, the fourth OTP of §19.
const (
	clientKey = "0123456789abcdefghij"
	nonce     = "askjdnkajsndjkasndkjsnad"
	workedOTP = "vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji"
)

func clock() time.Time { return time.Date(2024, 5, 6, 9, 8, 9, 123e6, time.FixedZone("", 2*60*60)) }

// The credentials: the worked one, the one whose OTPs are also Dvorak (§19, fifth), and one whose OTP is too long for the
// protocol.
func worked() storetest.Credential {
	return credential("vvcccccccccb", "d27aa807a7aceec8b61187d5497b509d", "587501bcf859")
}

func both() storetest.Credential {
	return credential("cccccccccbch", "00112233445566778899aabbccddeeff", "0a0b0c0d0e0f")
}

func nineBytes() storetest.Credential {
	return credential("vvcccccccccccccccc", "00112233445566778899aabbccddeeff", "0a0b0c0d0e0f")
}

func credential(publicID, key, privateID string) storetest.Credential {
	c := storetest.Credential{State: token.Active}
	c.PublicID, _ = token.ParsePublicID(publicID)
	_, _ = hex.Decode(c.Key[:], []byte(key))
	_, _ = hex.Decode(c.PrivateID[:], []byte(privateID))
	return c
}

// site is a server: clients 1 (any), 2 (disabled) and 3 (must sign), all with clientKey, and the credentials.
type site struct {
	store   *memory.Store
	id      token.CredentialID // of worked
	handler *wsapi.Handler
	faults  *faults
	log     *buffer
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{store: new(memory.Store), log: new(buffer)}
	for _, c := range []storetest.Credential{worked(), both(), nineBytes()} {
		id, err := s.store.Add(c.PublicID, secret.Copy(c.Key[:]), secret.Copy(c.PrivateID[:]), c.State)
		if err != nil {
			t.Fatal(err)
		}
		if s.id == 0 {
			s.id = id
		}
	}
	key := secret.New([]byte(clientKey))
	s.store.AddClient(validate.Client{Name: "one", Keys: []secret.Bytes{key}, Active: true})
	s.store.AddClient(validate.Client{Name: "disabled", Keys: []secret.Bytes{key}})
	s.store.AddClient(validate.Client{Name: "strict", Keys: []secret.Bytes{key}, Active: true, MustSig: true})
	s.faults = &faults{Store: s.store}
	s.handler = &wsapi.Handler{
		Verifier: validate.New(s.faults, clock), Clients: s.faults, Now: clock,
		Observer: eventlog.New(slog.New(slog.NewJSONHandler(s.log, nil))),
	}
	return s
}

// faults is the store with errors on demand. An Accept that fails has happened: nobody knows.
type faults struct {
	*memory.Store
	find, accept, client error
	noting               func() // before each Note; nil: nothing
}

func (f *faults) Note(ctx context.Context, a validate.Advance) error {
	if f.noting != nil {
		f.noting()
	}
	return f.Store.Note(ctx, a)
}

func (f *faults) Find(ctx context.Context, id token.PublicID) (validate.Credential, error) {
	if f.find != nil {
		return validate.Credential{}, f.find
	}
	return f.Store.Find(ctx, id)
}

func (f *faults) Raise(ctx context.Context, r validate.Raise) (validate.Row, bool, error) {
	if f.find != nil {
		return validate.Row{}, false, f.find
	}
	return f.Store.Raise(ctx, r)
}

func (f *faults) Accept(ctx context.Context, a validate.Advance) (bool, error) {
	ok, err := f.Store.Accept(ctx, a)
	if f.accept != nil {
		return false, f.accept
	}
	return ok, err
}

func (f *faults) Client(ctx context.Context, id int64) (validate.Client, error) {
	if f.client != nil {
		return validate.Client{}, f.client
	}
	return f.Store.Client(ctx, id)
}

// buffer is a log that may be written by several requests at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// press is an OTP of worked.
func press(t testing.TB, use uint16, session uint8) string {
	t.Helper()
	return worked().Press(t, yubiotp.Token{UseCounter: use, SessionCounter: session, Timestamp: 1000})
}

func dvorak(otp string) string {
	return strings.Map(func(c rune) rune { return rune("jxe.uidchtnbpygk"[strings.IndexRune(modhex.Alphabet, c)]) }, otp)
}

// reply is an answer, read strictly: every line is name=value CRLF, h is first, an empty line ends it.
type reply struct {
	code  int
	names []string
	value map[string]string
}

func readReply(t testing.TB, code int, body string) reply {
	t.Helper()
	r := reply{code: code, value: make(map[string]string)}
	text, ended := strings.CutSuffix(body, "\r\n\r\n")
	if !ended {
		t.Fatalf("no empty line at the end: %q", body)
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, found := strings.Cut(line, "=")
		if !found || name == "" || value == "" || strings.ContainsAny(line, "\r\n ") {
			t.Fatalf("line %q in %q", line, body)
		}
		if _, again := r.value[name]; again {
			t.Fatalf("%s twice in %q", name, body)
		}
		r.names = append(r.names, name)
		r.value[name] = value
	}
	if r.names[0] != "h" || r.names[len(r.names)-1] != "status" {
		t.Fatalf("order %v", r.names)
	}
	return r
}

// signedWith reports whether h was made with the key.
func (r reply) signedWith(key string) bool {
	return wsapi.Sign(secret.New([]byte(key)), r.value) == r.value["h"]
}

func get(t testing.TB, url string) reply {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t testing.TB, resp *http.Response) reply {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return reply{code: resp.StatusCode}
	}
	if resp.ContentLength != int64(len(body)) || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("length %d of %d, type %q", resp.ContentLength, len(body), resp.Header.Get("Content-Type"))
	}
	return readReply(t, resp.StatusCode, string(body))
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/wsapi/2.0/verify?"
}
