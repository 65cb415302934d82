package wsapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// authority makes client certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, parent *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "one"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	by := &authority{cert, key}
	if parent != nil {
		by = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

// TestKSMCertificate asks by TLS, with a certificate of the server's authority, of another one, and with none.
func TestKSMCertificate(t *testing.T) {
	t.Parallel()
	_, k, _ := newKSM(t)
	ours, foreign := newAuthority(t, nil), newAuthority(t, nil)
	s := httptest.NewUnstartedServer(k)
	s.TLS = &tls.Config{ClientCAs: x509.NewCertPool(), ClientAuth: tls.VerifyClientCertIfGiven}
	s.TLS.ClientCAs.AddCert(ours.cert)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	for name, tc := range map[string]struct {
		show *authority
		want string // "": no connection
	}{
		"none": {nil, "ERR Not allowed\n"}, "of the authority": {newAuthority(t, ours), "OK counter=0001 low=03e8 high=00 use=00\n"}, "of another": {newAuthority(t, foreign), ""},
	} {
		c := s.Client().Transport.(*http.Transport).Clone()
		if tc.show != nil {
			c.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{tc.show.cert.Raw}, PrivateKey: tc.show.key}}
		}
		res, err := (&http.Client{Transport: c}).Get(s.URL + "/wsapi/decrypt?otp=" + workedOTP)
		if err != nil {
			if tc.want != "" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(body) != tc.want {
			t.Errorf("%s: %q, %v, want %q", name, body, err, tc.want)
		}
		c.CloseIdleConnections()
	}
}
