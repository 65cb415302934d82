package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certificate makes one for 127.0.0.1 that signs itself, in a folder of its own, and returns the files of it and of its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, self, self, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestPamYubico lets Debian's pam_yubico log in, in the clear and by TLS: it takes the public ID for the person, and knows by its own
// file whose it is.
func TestPamYubico(t *testing.T) {
	t.Parallel()
	needJudges(t, "flock", "pamtester", "libpam_wrapper.so", "pam_yubico.so")
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	c := r.client("ssh")
	cert, key := certificate(t)
	for name, words := range map[string][]string{"http": nil, "https": {"--tls-cert", cert, "--tls-key", key}} {
		s := r.serve(words...)
		users := filepath.Join(t.TempDir(), "users")
		line := fmt.Sprintf("auth required pam_yubico.so id=%d key=%s urllist=%s://%s/wsapi/2.0/verify authfile=%s", c.id, c.key, name, s.address, users)
		if name == "https" {
			line += " capath=" + filepath.Dir(cert)
		}
		older, otp := r.typed(2), r.typed(2)
		p := newPAMService(t, line, users, "ada:"+otp[:12]+"\nbert:cccccccccccc\n")
		for _, tc := range []struct {
			what, account, typed string
			want                 bool
		}{
			{"right", "ada", otp, true}, {"again", "ada", otp, false}, {"older", "ada", older, false}, {"after a password", "ada", "pass" + r.typed(2), true},
			{"changed", "ada", changed(r.typed(2)), false}, {"right", "ada", r.typed(2), true},
		} {
			if got, err := p.login(t.Context(), tc.account, tc.typed); err != nil || got != tc.want {
				t.Errorf("%s, %s: let in: %v, %v", name, tc.what, got, err)
			}
		}
		if got, err := p.login(t.Context(), "bert", r.typed(2)); got {
			t.Errorf("%s: bert with ada's key: %v", name, err)
		}
		if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d\n%s", code, log)
		}
	}
	r.must("audit", "verify")
}

// TestServeYkclientTLS: ykclient checks the server's certificate.
func TestServeYkclientTLS(t *testing.T) {
	t.Parallel()
	program := findYkclient(t)
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	c := r.client("mail")
	cert, key := certificate(t)
	s := r.serve("--tls-cert", cert, "--tls-key", key)
	other, _ := certificate(t)
	otp := r.typed(2)
	if code, out := program.run(t, "--url", "https://"+s.address+"/wsapi/2.0/verify", "--cai", other, "--apikey", c.key, fmt.Sprint(c.id), otp); code != 3 || !strings.Contains(out, "Error performing curl") {
		t.Errorf("another certificate: exit %d\n%s", code, out)
	}
	if code, out := program.run(t, "--url", "https://"+s.address+"/wsapi/2.0/verify", "--cai", cert, "--apikey", c.key, fmt.Sprint(c.id), otp); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

// yubigo asks and checks as the Go client of that name does. Source: reference validation-protocol.md §9.
type yubigo struct {
	id  int64
	key []byte
}

// verify asks with sl=secure and timestamp=1, signed, with a nonce of 40 characters. It splits the answer at LF, trims CR, and drops a
// last line without LF; of an answer with status=OK it holds OTP and nonce against what was sent, then the signature over all that
// came but h.
func (y yubigo) verify(ctx context.Context, address, otp string) (map[string]string, error) {
	const letters = "0123456789abcdefghijklmnopqrstuvwxy"
	nonce := make([]byte, 40)
	_, _ = rand.Read(nonce) // never fails
	for i := range nonce {
		nonce[i] = letters[int(nonce[i])%len(letters)]
	}
	q := map[string]string{"id": strconv.FormatInt(y.id, 10), "nonce": string(nonce), "otp": otp, "sl": "secure", "timestamp": "1"}
	v := url.Values{"h": {y.sign(q)}}
	for name, value := range q {
		v.Set(name, value)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/wsapi/2.0/verify?"+v.Encode(), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // read only
	got := map[string]string{}
	for in := bufio.NewReader(res.Body); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok {
			got[name] = value
		}
	}
	status, ok := got["status"]
	switch {
	case !ok:
		return nil, errors.New("no status")
	case status != "OK":
		return got, nil
	case got["otp"] != otp:
		return nil, errors.New("another OTP")
	case got["nonce"] != string(nonce):
		return nil, errors.New("another nonce")
	case !hmac.Equal([]byte(got["h"]), []byte(y.sign(got))):
		return nil, errors.New("wrong signature")
	}
	return got, nil
}

// sign is HMAC-SHA-1 over all but h.
func (y yubigo) sign(q map[string]string) string {
	var pairs []string
	for name, value := range q {
		if name != "h" {
			pairs = append(pairs, name+"="+value)
		}
	}
	slices.Sort(pairs)
	m := hmac.New(sha1.New, y.key)
	_, _ = m.Write([]byte(strings.Join(pairs, "&"))) // a hash takes everything
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// TestYubigoWay: sl=secure and timestamp=1, signed both ways. With timestamp=1 the answer has the three counters, and they are the key's;
// sl is answered as a number.
func TestYubigoWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	c := r.client("go")
	key, err := base64.StdEncoding.DecodeString(c.key)
	if err != nil {
		t.Fatal(err)
	}
	s := r.serve()
	ask := func(what, otp, want string) map[string]string {
		t.Helper()
		got, err := yubigo{c.id, key}.verify(t.Context(), s.address, otp)
		if err != nil || got["status"] != want {
			t.Errorf("%s: %v, %v, want %s", what, got, err, want)
		}
		return got
	}
	older, otp := r.typed(2), r.typed(2)
	got := ask("right", otp, "OK")
	for _, name := range []string{"timestamp", "sessioncounter", "sessionuse", "sl"} {
		if _, err := strconv.ParseUint(got[name], 10, 24); err != nil {
			t.Errorf("%s=%q", name, got[name])
		}
	}
	next := ask("the next press", r.typed(2), "OK")
	if next["sessioncounter"] != got["sessioncounter"] || next["sessionuse"] != plusOne(got["sessionuse"]) {
		t.Errorf("counters %v, then %v", got, next)
	}
	ask("again", otp, "REPLAYED_OTP")
	ask("older", older, "REPLAYED_OTP")
	ask("changed", changed(r.typed(2)), "BAD_OTP")
	ask("in capitals", strings.ToUpper(r.typed(2)), "OK") // compared as it was sent
	if _, err := (yubigo{c.id, []byte("another key")}).verify(t.Context(), s.address, r.typed(2)); err != nil {
		t.Errorf("another key: %v", err) // BAD_SIGNATURE is no OK, so nothing else is looked at
	}
	if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

func plusOne(number string) string {
	n, err := strconv.Atoi(number)
	if err != nil {
		return ""
	}
	return strconv.Itoa(n + 1)
}
