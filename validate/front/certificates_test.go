package front

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority certifies servers and clients of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
	last int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, last: 1}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue makes a certificate with the next serial number, and its key.
func (a *authority) issue(from, until time.Time) (cert, key []byte) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.last++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotBefore: from, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serial is that of the certificate which a server shows now; client is shown to it, if there is one. 0 for a refused handshake.
func serial(t *testing.T, c *Certificates, a *authority, client ...tls.Certificate) int64 {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(mustParse(t, a.pem))
	config := &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: client}
	l, err := tls.Listen("tcp", "127.0.0.1:0", c.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if conn.(*tls.Conn).Handshake() == nil {
			_, _ = conn.Write([]byte("x"))
		}
		_ = conn.Close()
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), config)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	if n, _ := conn.Read(make([]byte, 1)); n != 1 { // a refusal of the client's certificate comes after the handshake
		return 0
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func mustParse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCertificatesAreReplaced walks through what happens to files while a server runs. What is not sound is not used, and said once.
func TestCertificatesAreReplaced(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	long := func() (cert, key []byte) { return a.issue(time.Now().Add(-time.Hour), time.Now().Add(900*time.Hour)) }
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	cert, key := long()
	write(t, f.Cert, cert)
	write(t, f.Key, key)
	var log strings.Builder
	c, err := LoadCertificates(f, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	next, nextKey := long()
	var chain []byte
	for _, step := range []struct {
		name    string
		do      func()
		looks   int
		want    int64
		logged  string // once, in this step
		nothing bool
	}{
		{"nothing happens", func() {}, 3, 2, "", true},
		{"the certificate first", func() { write(t, f.Cert, next) }, 1, 2, "", true},
		{"and then the key", func() { write(t, f.Key, nextKey) }, 1, 2, "", true},
		{"and they stay", func() {}, 1, 3, "was replaced", false},
		{"a key of another certificate", func() { write(t, f.Key, key) }, 5, 3, "cannot be replaced", false},
		{"it is put right", func() { write(t, f.Key, nextKey) }, 2, 3, "", true},
		{"an empty certificate", func() { write(t, f.Cert, nil) }, 5, 3, "cannot be replaced", false},
		{"half a certificate", func() { write(t, f.Cert, next[:len(next)/2]) }, 5, 3, "cannot be replaced", false},
		{"half a chain", func() { chain = append(next, a.pem[:len(a.pem)/2]...); write(t, f.Cert, chain) }, 5, 3, "ends within", false},
		{"half an end", func() { write(t, f.Cert, append(next, a.pem[:len(a.pem)-9]...)) }, 5, 3, "ends within", false},
		{"no file", func() { _ = os.Remove(f.Cert) }, 5, 3, "no such file", false},
		{"a whole chain", func() { write(t, f.Cert, append(next, a.pem...)) }, 2, 3, "was replaced", false},
		{"another pair, by links", func() { link(t, dir, long) }, 2, 4, "was replaced", false},
		{"the directory behind the links", func() { relink(t, dir, long) }, 2, 5, "was replaced", false},
	} {
		log.Reset()
		step.do()
		for range step.looks {
			c.look(false)
		}
		if got := serial(t, c, a); got != step.want {
			t.Errorf("%s: certificate %d, want %d", step.name, got, step.want)
		}
		if n := strings.Count(log.String(), "\n"); step.nothing && n != 0 || !step.nothing && (n != 1 || !strings.Contains(log.String(), step.logged)) {
			t.Errorf("%s: %d lines, want %q\n%s", step.name, n, step.logged, &log)
		}
		if strings.Contains(log.String(), "PRIVATE") {
			t.Error("the key is in the log")
		}
	}
}

// link puts links in the place of the files, one after the other, as certbot does.
func link(t *testing.T, dir string, issue func() (cert, key []byte)) {
	t.Helper()
	writeLive(t, dir, issue)
	for _, name := range []string{"cert.pem", "key.pem"} {
		next := filepath.Join(dir, name+".next")
		if err := os.Symlink(filepath.Join(dir, "live", name), next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// relink puts another directory behind the links, as Kubernetes does.
func relink(t *testing.T, dir string, issue func() (cert, key []byte)) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, "live"), filepath.Join(dir, "former")); err != nil {
		t.Fatal(err)
	}
	writeLive(t, dir, issue)
}

func writeLive(t *testing.T, dir string, issue func() (cert, key []byte)) {
	t.Helper()
	live := filepath.Join(dir, "live")
	if err := os.Mkdir(live, 0o700); err != nil {
		t.Fatal(err)
	}
	cert, key := issue()
	write(t, filepath.Join(live, "cert.pem"), cert)
	write(t, filepath.Join(live, "key.pem"), key)
}

// TestWatch: a hangup takes what is new at once; ticks alone when it is there for the second time.
func TestWatch(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "c"), Key: filepath.Join(dir, "k"), ClientCA: filepath.Join(dir, "ca")}
	renew := func() {
		cert, key := a.issue(time.Now().Add(-time.Hour), time.Now().Add(900*time.Hour))
		write(t, f.Cert, cert)
		write(t, f.Key, key)
	}
	renew()
	write(t, f.ClientCA, a.pem)
	c, err := LoadCertificates(f, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks, hangups, done := make(chan time.Time), make(chan os.Signal), make(chan bool)
	go func() {
		c.Watch(ctx, ticks, hangups)
		close(done)
	}()
	renew()
	hangups <- os.Interrupt
	ticks <- time.Time{} // taken when the hangup is worked off
	if got := serial(t, c, a); got != 3 {
		t.Errorf("after a hangup: certificate %d", got)
	}
	renew()
	ticks <- time.Time{}
	ticks <- time.Time{}
	ticks <- time.Time{}
	if got := serial(t, c, a); got != 4 {
		t.Errorf("after ticks: certificate %d", got)
	}
	cancel()
	<-done
}

// TestClientCertificates: none need be shown, a right one counts, a wrong one ends the handshake; who certifies them is replaced too.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	server, ours, theirs := newAuthority(t), newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "c"), Key: filepath.Join(dir, "k"), ClientCA: filepath.Join(dir, "ca")}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(900*time.Hour)
	cert, key := server.issue(from, until)
	write(t, f.Cert, cert)
	write(t, f.Key, key)
	write(t, f.ClientCA, ours.pem)
	c, err := LoadCertificates(f, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	pair := func(a *authority, from, until time.Time) tls.Certificate {
		p, err := tls.X509KeyPair(a.issue(from, until))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	good, foreign, ended := pair(ours, from, until), pair(theirs, from, until), pair(ours, from, from.Add(time.Minute))
	check := func(name string, want bool, client ...tls.Certificate) {
		t.Helper()
		if got := serial(t, c, server, client...) != 0; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	check("none", true)
	check("a right one", true, good)
	check("one that has ended", false, ended)
	write(t, f.ClientCA, theirs.pem)
	c.look(true)
	check("no longer right", false, good)
	check("now right", true, foreign)
	write(t, f.ClientCA, []byte("nothing"))
	c.look(true)
	check("still right", true, foreign)
}

// TestExpiry: once a day it is said that the certificate ends within two weeks, has ended, or does not count yet.
func TestExpiry(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	base := time.Now()
	for _, tc := range []struct {
		from, until time.Duration
		want        string
	}{
		{-time.Hour, 24 * time.Hour * 90, ""},
		{-time.Hour, 24 * time.Hour * 10, "ends soon"},
		{-time.Hour, -time.Minute, "has ended"},
		{time.Hour, 24 * time.Hour * 90, "not valid yet"},
	} {
		dir := t.TempDir()
		f := Files{Cert: filepath.Join(dir, "c"), Key: filepath.Join(dir, "k")}
		cert, key := a.issue(base.Add(tc.from), base.Add(tc.until))
		write(t, f.Cert, cert)
		write(t, f.Key, key)
		var log strings.Builder
		now := base
		c, err := LoadCertificates(f, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			c.look(false)
		}
		lines := 0
		if tc.want != "" {
			lines = 1
		}
		if strings.Count(log.String(), "\n") != lines || !strings.Contains(log.String(), tc.want) {
			t.Errorf("%q: %s", tc.want, &log)
		}
		if now = now.Add(24 * time.Hour); tc.want == "ends soon" || tc.want == "has ended" {
			c.look(false)
			if strings.Count(log.String(), tc.want) != 2 {
				t.Errorf("%q, a day later: %s", tc.want, &log)
			}
		}
	}
}

// TestOldTLS: 1.1 is refused, and only HTTP/1.1 is agreed on.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "c"), Key: filepath.Join(dir, "k")}
	cert, key := a.issue(time.Now().Add(-time.Hour), time.Now().Add(900*time.Hour))
	write(t, f.Cert, cert)
	write(t, f.Key, key)
	c, err := LoadCertificates(f, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Handler: http.HandlerFunc(echo), Most: 10})
	go func() { _ = s.Serve(l, c.Config()) }()
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(a.pem)
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: version, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
				t.Errorf("%s: %q", tls.VersionName(version), p)
			}
			_ = conn.Close()
		}
	}
}

// TestLoadCertificates: what is wrong at the start is an error.
func TestLoadCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	if _, err := LoadCertificates(Files{Cert: none, Key: none}, time.Now, nil); err == nil || !strings.Contains(err.Error(), none) {
		t.Error(err)
	}
}
