package mail

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// relay is a mail server on the loopback that keeps what it takes.
type relay struct {
	mu    sync.Mutex
	taken []taken
	// answers to RCPT and MAIL by address, and to the end of DATA; nil: accepted
	rcpt map[string]*smtp.SMTPError
	mail *smtp.SMTPError
	data *smtp.SMTPError
}

type taken struct {
	from, to, text string
	tls            bool
}

func (r *relay) start(t *testing.T, c *tls.Config) string {
	t.Helper()
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{relay: r, conn: c}, nil }))
	server.Domain, server.TLSConfig, server.ErrorLog = "localhost", c, log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

type session struct {
	relay *relay
	conn  *smtp.Conn
	now   taken
}

func (s *session) Reset()        { s.now = taken{} }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.now.from = from
	if s.relay.mail != nil {
		return s.relay.mail
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.now.to = to
	if e := s.relay.rcpt[to]; e != nil {
		return e
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.relay.data != nil {
		return s.relay.data
	}
	_, s.now.tls = s.conn.TLSConnectionState()
	s.now.text = string(text)
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.taken = append(s.relay.taken, s.now)
	return nil
}

func message(to string) desk.Message {
	return desk.Message{ID: "notice.7.1700000000000000", To: to, Name: "Jürgen \"J\" Groß,\r\nBcc: eve@example.org", Subject: "Für Sie wurde etwas erstellt", Body: "Guten Tag,\n\n.\nGrüße\n",
		At: time.Date(2026, 5, 7, 10, 0, 0, 0, time.UTC)}
}

// checkText reads the message as another program would.
func checkText(t *testing.T, text string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Für Sie wurde etwas erstellt" {
		t.Errorf("subject %q, %v", subject, err)
	}
	if id, auto, date := m.Header.Get("Message-ID"), m.Header.Get("Auto-Submitted"), m.Header.Get("Date"); id != "<notice.7.1700000000000000@example.org>" || auto != "auto-generated" || !strings.Contains(date, "7 May 2026") {
		t.Errorf("%s, %s, %s", id, auto, date)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "ada@example.org" || m.Header.Get("Bcc") != "" {
		t.Errorf("to %v, %v", to, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != "Guten Tag,\n\n.\nGrüße\n" {
		t.Errorf("body %q, %v", body, err)
	}
}

func newSMTP(t *testing.T, address string, c *tls.Config) *SMTP {
	t.Helper()
	s, err := NewSMTP(Relay{Address: address, From: "Token Desk <desk@example.org>", TLS: c})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	r := &relay{rcpt: map[string]*smtp.SMTPError{
		"gone@example.org": {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"},
		"full@example.org": {Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "mailbox full"},
	}}
	s := newSMTP(t, r.start(t, nil), nil)
	for _, to := range []string{"gone@example.org", "full@example.org", "not an address", "a@b\r\nc@d"} { // one message's own fault
		if err := s.Send(t.Context(), message(to)); err == nil || errors.Is(err, desk.ErrUnreachable) {
			t.Errorf("%q: %v", to, err)
		}
	}
	for range 2 {
		if err := s.Send(t.Context(), message("ada@example.org")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
	if len(r.taken) != 2 || r.taken[0].from != "desk@example.org" || r.taken[0].to != "ada@example.org" || r.taken[0].tls {
		t.Fatalf("%+v", r.taken)
	}
	checkText(t, r.taken[0].text)
}

// TestSMTPUnreachable: others would fail too.
func TestSMTPUnreachable(t *testing.T) {
	t.Parallel()
	const nobody = "127.0.0.1:1" // a port that was drawn and closed could be the next one's
	full := &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "going down"}
	denied := &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not from here"}
	for name, address := range map[string]string{
		"nobody": nobody, "421": (&relay{data: full}).start(t, nil), "sender": (&relay{mail: denied}).start(t, nil),
	} {
		s := newSMTP(t, address, nil)
		if err := s.Send(t.Context(), message("ada@example.org")); !errors.Is(err, desk.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		_ = s.Close()
	}
	plain := &relay{}
	s := newSMTP(t, plain.start(t, nil), &tls.Config{ServerName: "localhost"})
	if err := s.Send(t.Context(), message("ada@example.org")); !errors.Is(err, desk.ErrUnreachable) || len(plain.taken) > 0 {
		t.Errorf("no STARTTLS: %v", err)
	}
}

func TestSTARTTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := selfSigned(t)
	r := &relay{}
	address := r.start(t, &tls.Config{Certificates: []tls.Certificate{certificate}})
	s := newSMTP(t, address, &tls.Config{ServerName: "localhost", RootCAs: roots})
	if err := s.Send(t.Context(), message("ada@example.org")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || len(r.taken) != 1 || !r.taken[0].tls {
		t.Errorf("%d messages, %v", len(r.taken), err)
	}
	for name, c := range map[string]*tls.Config{"root": {ServerName: "localhost"}, "name": {ServerName: "other", RootCAs: roots}} {
		s := newSMTP(t, address, c)
		if err := s.Send(t.Context(), message("ada@example.org")); !errors.Is(err, desk.ErrUnreachable) || len(r.taken) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestSpool(t *testing.T) {
	t.Parallel()
	s := Spool{Dir: t.TempDir(), From: "desk@example.org"}
	for range 2 { // the same notice is the same file
		if err := s.Send(t.Context(), message("ada@example.org")); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(s.Dir, "*"))
	if err != nil || len(names) != 1 || filepath.Base(names[0]) != "notice.7.1700000000000000.eml" {
		t.Fatalf("%v, %v", names, err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	checkText(t, string(text))
	if info, err := os.Stat(names[0]); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if hidden, err := filepath.Glob(filepath.Join(s.Dir, ".*")); err != nil || len(hidden) > 0 {
		t.Errorf("left: %v, %v", hidden, err)
	}
	if err := (Spool{Dir: filepath.Join(s.Dir, "none"), From: "desk@example.org"}).Send(t.Context(), message("ada@example.org")); !errors.Is(err, desk.ErrUnreachable) {
		t.Errorf("no directory: %v", err)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "relay", "relay:0", "relay:70000", ":25", "relay:smtp"} {
		if _, err := NewSMTP(Relay{Address: address, From: "desk@example.org"}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	for _, from := range []string{"", "desk", "desk@example.org\r\nBcc: x@y", "a@b, c@d"} {
		if CheckFrom(from) == nil {
			t.Errorf("%q was taken", from)
		}
		if err := (Spool{Dir: t.TempDir(), From: from}).Send(context.Background(), message("ada@example.org")); err == nil {
			t.Errorf("sent from %q", from)
		}
	}
}
