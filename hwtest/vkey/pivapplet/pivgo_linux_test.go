//go:build cgo && !nopcsc

package pivapplet_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
)

// openPIV opens the applet in a reader, as soon as pcscd knows its card.
func openPIV(t *testing.T, reader string) *piv.YubiKey {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		yk, err := piv.Open(reader)
		if err == nil {
			t.Cleanup(func() { yk.Close() })
			return yk
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestPIVGo drives the applet of four firmwares with piv-go over pcscd. It is not parallel: libpcsclite reads once in a process where pcscd is.
func TestPIVGo(t *testing.T) {
	profiles := []vkey.Profile{vkey.YubiKey435, vkey.YubiKey527, vkey.YubiKey543, vkey.YubiKey571}
	var keys []*vkey.Key
	for i, p := range profiles {
		k := vkey.New(p, vkey.Options{Serial: 7654321 + uint32(i)})
		pivapplet.Install(k, pivapplet.Options{NewKey: pool()})
		keys = append(keys, k)
	}
	d := startFor(t, keys...)
	t.Setenv("PCSCLITE_CSOCK_NAME", d.Socket)
	for i, k := range keys {
		t.Run(k.Profile().Version.String(), func(t *testing.T) {
			h := host{t, openPIV(t, d.Readers[i]), k, pivapplet.Of(k)}
			h.life()
		})
	}
}

// host is piv-go at work on a key.
type host struct {
	*testing.T
	yk  *piv.YubiKey
	key *vkey.Key
	app *pivapplet.Applet
}

func (h host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

var managementKey = []byte("0123456789abcdefghijklmn")

func (h host) life() {
	v := h.key.Profile().Version
	if got := h.yk.Version(); got != (piv.Version{Major: int(v.Major), Minor: int(v.Minor), Patch: int(v.Build)}) {
		h.Errorf("version %v", got)
	}
	if n, err := h.yk.Serial(); n != h.key.Serial() {
		h.Errorf("serial %d, %v", n, err)
	}
	if n, err := h.yk.Retries(); n != 3 || err != nil {
		h.Errorf("retries %d, %v", n, err)
	}
	h.must(h.yk.SetRetries(piv.DefaultManagementKey, piv.DefaultPIN, 5, 4))
	h.must(h.yk.SetPIN(piv.DefaultPIN, "271828"))
	h.must(h.yk.SetPUK(piv.DefaultPUK, "31415926"))
	h.must(h.yk.SetManagementKey(piv.DefaultManagementKey, managementKey))
	if !h.app.HoldsPIN("271828") || !h.app.HoldsPUK("31415926") || h.app.HoldsPIN(piv.DefaultPIN) {
		h.Error("PIN and PUK are not on the key")
	}
	var wrong piv.AuthErr
	if err := h.yk.VerifyPIN("000000"); !errors.As(err, &wrong) || wrong.Retries != 4 {
		h.Errorf("wrong PIN: %v", err)
	}
	if err := h.yk.Unblock("00000000", "161803"); !errors.As(err, &wrong) || wrong.Retries != 3 {
		h.Errorf("wrong PUK: %v", err)
	}
	h.must(h.yk.Unblock("31415926", "161803"))
	h.must(h.yk.VerifyPIN("161803"))
	if err := h.yk.SetManagementKey(piv.DefaultManagementKey, managementKey); err == nil {
		h.Error("the old management key still works")
	}
	h.metadata()
	h.generated()
	h.imported()
	h.must(h.yk.Reset())
	if pin, puk := h.app.Tries(); pin != 3 || puk != 3 || !h.app.HoldsPIN(piv.DefaultPIN) || h.app.Object(0x5fc10a) != nil {
		h.Errorf("after the reset: %d and %d tries", pin, puk)
	}
	if _, err := h.yk.Certificate(piv.SlotSignature); !errors.Is(err, piv.ErrNotFound) {
		h.Errorf("after the reset: %v", err)
	}
}

// metadata: data that the PIN guards.
func (h host) metadata() {
	kept := managementKey
	h.must(h.yk.SetMetadata(managementKey, &piv.Metadata{ManagementKey: &kept}))
	m, err := h.yk.Metadata("161803")
	h.must(err)
	if string(*m.ManagementKey) != string(managementKey) {
		h.Error("another management key")
	}
}

// generated: what the card makes signs and attests.
func (h host) generated() {
	algorithms := []piv.Algorithm{piv.AlgorithmEC256, piv.AlgorithmEC384, piv.AlgorithmRSA2048}
	if h.key.Profile().Version.Minor >= 7 {
		algorithms = append(algorithms, piv.AlgorithmRSA3072, piv.AlgorithmEd25519, piv.AlgorithmX25519)
	}
	for n, alg := range algorithms {
		slot, _ := piv.RetiredKeyManagementSlot(0x82 + uint32(n))
		if n == 0 {
			slot = piv.SlotSignature
		}
		public, err := h.yk.GenerateKey(managementKey, slot, piv.Key{Algorithm: alg, PINPolicy: piv.PINPolicyAlways, TouchPolicy: piv.TouchPolicyNever})
		h.must(err)
		h.attested(slot, public)
		private, err := h.yk.PrivateKey(slot, public, piv.KeyAuth{PIN: "161803"})
		h.must(err)
		if alg == piv.AlgorithmX25519 {
			h.agrees(private, ecdh.X25519())
			continue
		}
		h.signs(slot, private.(crypto.Signer))
		if alg == piv.AlgorithmEC256 {
			h.agrees(private, ecdh.P256())
		}
	}
}

// attested: the chain leads to the test root and says what is true.
func (h host) attested(slot piv.Slot, public crypto.PublicKey) {
	h.Helper()
	by, err := h.yk.AttestationCertificate()
	h.must(err)
	cert, err := h.yk.Attest(slot)
	h.must(err)
	roots := x509.NewCertPool()
	roots.AddCert(pivapplet.TestCA().Root())
	if h.key.Profile().Version.Minor >= 7 && h.key.Profile().Version.Major >= 5 {
		roots.AddCert(pivapplet.TestCA().Intermediate()) // piv-go takes no intermediates of ours
	}
	v := h.key.Profile().Version
	got, err := (&piv.Verifier{Roots: roots}).Verify(by, cert)
	h.must(err)
	want := piv.Attestation{
		Version: piv.Version{Major: int(v.Major), Minor: int(v.Minor), Patch: int(v.Build)}, Serial: h.key.Serial(),
		Formfactor: piv.Formfactor(h.key.Profile().FormFactor), PINPolicy: piv.PINPolicyAlways, TouchPolicy: piv.TouchPolicyNever, Slot: slot,
	}
	if *got != want {
		h.Errorf("attested %+v, want %+v", *got, want)
	}
	info, err := x509.MarshalPKIXPublicKey(public) // crypto/x509 does not read X25519
	h.must(err)
	if string(info) != string(cert.RawSubjectPublicKeyInfo) {
		h.Errorf("slot %v: another key is attested", slot)
	}
}

// signs: a self-signed certificate made with the card's key is right, and is stored and read back.
func (h host) signs(slot piv.Slot, signer crypto.Signer) {
	h.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "on the card"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	h.must(err)
	cert, err := x509.ParseCertificate(der)
	h.must(err)
	h.must(cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature))
	h.must(h.yk.SetCertificate(managementKey, slot, cert))
	stored, err := h.yk.Certificate(slot)
	h.must(err)
	if !stored.Equal(cert) {
		h.Error("another certificate was stored")
	}
}

// agrees: the card and a peer get the same secret.
func (h host) agrees(private crypto.PrivateKey, curve ecdh.Curve) {
	h.Helper()
	peer, err := curve.GenerateKey(rand.Reader)
	h.must(err)
	card := private.(interface {
		ECDH(*ecdh.PublicKey) ([]byte, error)
		Public() crypto.PublicKey
	})
	got, err := card.ECDH(peer.PublicKey())
	h.must(err)
	public, ok := card.Public().(*ecdh.PublicKey)
	if !ok {
		public, err = card.Public().(*ecdsa.PublicKey).ECDH()
		h.must(err)
	}
	want, err := peer.ECDH(public)
	h.must(err)
	if string(got) != string(want) {
		h.Error("the card agreed on another secret")
	}
}

// imported: foreign keys work, and are not attested.
func (h host) imported() {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	h.must(err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	h.must(err)
	short := pool()(pivapplet.RSA1024).(*rsa.PrivateKey)
	privates := []crypto.Signer{p384, short}
	if h.key.Profile().Version.Minor >= 7 {
		privates = append(privates, ed)
	}
	for _, private := range privates {
		h.must(h.yk.SetPrivateKeyInsecure(managementKey, piv.SlotKeyManagement, private, piv.Key{Algorithm: piv.AlgorithmEd25519, PINPolicy: piv.PINPolicyOnce, TouchPolicy: piv.TouchPolicyNever}))
		if _, err := h.yk.Attest(piv.SlotKeyManagement); !errors.Is(err, piv.ErrNotFound) {
			h.Errorf("attest an imported key: %v", err)
		}
		card, err := h.yk.PrivateKey(piv.SlotKeyManagement, private.Public(), piv.KeyAuth{PIN: "161803", PINPolicy: piv.PINPolicyOnce})
		h.must(err)
		h.signs(piv.SlotKeyManagement, card.(crypto.Signer))
	}
	h.must(h.yk.SetPrivateKeyInsecure(managementKey, piv.SlotKeyManagement, short, piv.Key{PINPolicy: piv.PINPolicyNever, TouchPolicy: piv.TouchPolicyNever}))
	card, err := h.yk.PrivateKey(piv.SlotKeyManagement, short.Public(), piv.KeyAuth{})
	h.must(err)
	text := new(big.Int).SetBytes(append(append([]byte{2}, bytes.Repeat([]byte{1}, short.Size()-9)...), "\x00hidden"...)) // PKCS #1 v1.5
	hidden := text.Exp(text, big.NewInt(int64(short.E)), short.N).FillBytes(make([]byte, short.Size()))
	if got, err := card.(crypto.Decrypter).Decrypt(rand.Reader, hidden, nil); string(got) != "hidden" {
		h.Errorf("decrypted %q, %v", got, err)
	}
	digest := sha256.Sum256([]byte("text"))
	sig, err := card.(crypto.Signer).Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256})
	h.must(err)
	h.must(rsa.VerifyPSS(&short.PublicKey, crypto.SHA256, digest[:], sig, nil))
}
