//go:build unix

package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate/front"
)

// writePair writes a certificate of its own key, with a serial number, and the key: each file at once, one after the other.
func writePair(t *testing.T, serial int64, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "desk"}, DNSNames: []string{"desk.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: own}} {
		if err := os.WriteFile(file+".next", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".next", file); err != nil {
			t.Fatal(err)
		}
	}
}

// shown is the serial number of the certificate that a new connection is shown.
func (s *server) shown(t *testing.T) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", s.address, &tls.Config{InsecureSkipVerify: true}) // only looked at
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// asking lets each presser send fresh OTPs, half of them over a connection that is kept and half over one for each, until stop. All must
// be accepted.
func asking(t *testing.T, r *rig, c relying, all []*presser, s *server) (stop func() (accepted int)) {
	t.Helper()
	var end atomic.Bool
	var work sync.WaitGroup
	kept, anew := newAsker(t, c), newAsker(t, c)
	for i, a := range []*asker{kept, anew} {
		a.nonces.Store(int64(i) * 1e9)
		a.http = &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64, DisableKeepAlives: a == anew,
		}}
	}
	for i, p := range all {
		work.Go(func() {
			for a := []*asker{kept, anew}[i%2]; !end.Load() && !t.Failed(); {
				p.pressed++
				if _, err := p.ask(t, a, s, p.pressed, "OK"); err != nil {
					t.Errorf("kept %v: %v", a == kept, err)
					return
				}
				p.accepted = append(p.accepted, p.pressed)
				select {
				case p.heard <- struct{}{}:
				default:
				}
			}
		})
	}
	return func() (accepted int) {
		end.Store(true)
		work.Wait()
		kept.http.CloseIdleConnections()
		for _, p := range all {
			accepted += len(p.accepted)
		}
		return accepted
	}
}

// await waits until so many more were accepted.
func await(t *testing.T, heard <-chan struct{}, n int) {
	t.Helper()
	for range n {
		select {
		case <-heard:
		case <-time.After(askTime):
			t.Fatal("nobody is answered any more")
		}
	}
}

// TestCertificateReplacedUnderLoad: new connections are shown the new certificate, by SIGHUP at once and otherwise soon, and no request
// fails, neither on old connections nor on new ones.
func TestCertificateReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, 1, cert, key)
	pressers := importPressers(t, r, 6)
	c := r.client("mail")
	s := r.serve("--limit", "0", "--tls-cert", cert, "--tls-key", key)
	heard := make(chan struct{}, 64)
	for _, p := range pressers {
		p.heard = heard
	}
	stop := asking(t, r, c, pressers, s)
	const hangups, between = 20, 10
	for serial := int64(2); serial <= hangups+2; serial++ {
		writePair(t, serial, cert, key)
		if serial < hangups+2 {
			if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		for start := time.Now(); s.shown(t) != serial; {
			if time.Since(start) > time.Minute {
				t.Fatalf("certificate %d is never shown", serial)
			}
		}
		await(t, heard, between)
	}
	accepted := stop()
	log, code := s.stop(t, syscall.SIGTERM)
	if n := strings.Count(log, "was replaced"); code != 0 || n != hangups+1 {
		t.Errorf("exit code %d, %d replacements, %d OTPs accepted\n%s", code, n, accepted, tail(log))
	}
	t.Logf("%d OTPs accepted over %d replacements", accepted, hangups+1)
}

// tail is the end of a long log.
func tail(log string) string {
	return log[max(0, len(log)-4000):]
}

// idlers opens keep-alive connections that ask once, and are silent after that.
func idlers(t *testing.T, s *server, n int) []net.Conn {
	t.Helper()
	all := make([]net.Conn, n)
	var work sync.WaitGroup
	for part := range 8 {
		work.Go(func() {
			for i := part; i < n && !t.Failed(); i += 8 {
				c, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Error(err)
					return
				}
				all[i] = c
				_ = c.SetDeadline(time.Now().Add(askTime))
				if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Error(err)
					return
				}
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				_ = res.Body.Close() // nothing more is read
			}
		})
	}
	work.Wait()
	t.Cleanup(func() {
		for _, c := range all {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	return all
}

// TestIdleConnections: 10,000 connections that ask nothing any more keep nobody out and are not cut off; where the limit of open files
// leaves room for fewer, the oldest make room.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	const many = 10_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < many+1000 {
		t.Fatalf("this test needs %d open files, and may have %d", many+1000, limit.Cur)
	}
	r := newRig(t, 2)
	r.must("init")
	pressers := importPressers(t, r, 1)
	c := r.client("mail")
	a := newAsker(t, c)
	t.Run("enough", func(t *testing.T) {
		s := r.serve("--limit", "0")
		before := s.memory(t)
		began := time.Now()
		all := idlers(t, s, many)
		if t.Failed() {
			return
		}
		after := s.memory(t)
		start := time.Now()
		pressers[0].pressed++
		if _, err := pressers[0].ask(t, a, s, pressers[0].pressed, "OK"); err != nil {
			t.Error(err)
		}
		t.Logf("the answer took %v; %d connections take %d KB each", time.Since(start).Round(time.Microsecond), many, (after-before)/many)
		if took := time.Since(start); took > front.IdleTimeout/2 { // nobody had to go
			t.Errorf("the answer took %v", took)
		}
		for i := 0; i < many; i += many / 10 {
			if hungUp(all[i], time.Millisecond) && time.Since(began) < front.IdleTimeout {
				t.Errorf("connection %d was cut off", i)
			}
		}
		a.hangUp()
		if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d\n%s", code, tail(log))
		}
	})
	t.Run("too few files", func(t *testing.T) {
		s := r.launched(limited(r.program("", 0, "serve", "--limit", "0", "--listen", "127.0.0.1:0"), "ulimit -n 600"))
		all := append(idlers(t, s, 1999), idlers(t, s, 1)...)
		if t.Failed() {
			return
		}
		pressers[0].pressed++
		if _, err := pressers[0].ask(t, a, s, pressers[0].pressed, "OK"); err != nil {
			t.Error(err)
		}
		if !hungUp(all[0], askTime) || hungUp(all[1999], time.Millisecond) {
			t.Error("the newest was cut off, or the oldest was not")
		}
		a.hangUp()
		log, code := s.stop(t, syscall.SIGTERM)
		if code != 0 || strings.Count(log, "leaves room for 344 connections") != 1 || strings.Count(log, "all connections are taken") != 1 {
			t.Errorf("exit code %d\n%s", code, tail(log))
		}
	})
}

// launched starts a server, and keeps its whole log.
func (r *rig) launched(cmd *exec.Cmd) *server {
	r.t.Helper()
	s, err := launch(cmd, func(string) bool { return true })
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// limited runs a command after a line of shell.
func limited(cmd *exec.Cmd, line string) *exec.Cmd {
	shell := exec.Command("/bin/sh", append([]string{"-c", line + ` && exec "$@"`, "sh"}, cmd.Args...)...)
	shell.Env = cmd.Env
	return shell
}

// hungUp reports whether the other end closes a connection that carries nothing within a while.
func hungUp(c net.Conn, within time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, c)
	return err == nil || !os.IsTimeout(err)
}

// memory is what the server holds in memory, in KB.
func (s *server) memory(t *testing.T) (kb int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}
