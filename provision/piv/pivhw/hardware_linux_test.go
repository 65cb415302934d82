//go:build cgo && !nopcsc

package pivhw

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// start runs pcscd with a key of each profile. It is for one test of this binary: libpcsclite reads once in a process where pcscd is.
func start(t *testing.T, profiles ...vkey.Profile) (*vpcd.Daemon, []*vkey.Key) {
	t.Helper()
	dir, err := os.MkdirTemp("", "piv") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var keys []*vkey.Key
	for i, p := range profiles {
		k := vkey.New(p, vkey.Options{Serial: testSerial + uint32(i)})
		pivapplet.Install(k, pivapplet.Options{})
		keys = append(keys, k)
	}
	d, err := vpcd.Start(t.Context(), dir, keys...)
	if errors.Is(err, vpcd.ErrMissing) && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	t.Setenv("PCSCLITE_CSOCK_NAME", d.Socket)
	return d, keys
}

// open opens a card as soon as pcscd knows it.
func open(t *testing.T, reader string) *Card {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		c, err := Open(t.Context(), pcsc.System(), reader)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// host is a runner at work on the card of one virtual key.
type host struct {
	*testing.T
	card  *Card
	key   *vkey.Key
	app   *pivapplet.Applet
	store *escrow
	r     piv.Runner
}

func (h host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// TestCard sets up, uses and wipes keys of four firmwares over Debian's pcscd. It is not parallel: see start.
func TestCard(t *testing.T) {
	profiles := []vkey.Profile{vkey.YubiKey435, vkey.YubiKey527, vkey.YubiKey543, vkey.YubiKey571}
	d, keys := start(t, profiles...)
	for i, k := range keys {
		t.Run(k.Profile().Version.String(), func(t *testing.T) {
			t.Parallel()
			h := host{T: t, card: open(t, d.Readers[i]), key: k, app: pivapplet.Of(k), store: &escrow{}}
			h.r = piv.Runner{Escrow: h.store, Rand: rand.Reader, Now: time.Now}
			h.setUp()
			h.certify()
			h.agree()
			if n := h.app.Counts(); n.PINWrong != 0 || n.PUKWrong != 0 {
				h.Fatalf("tries that were burned: %+v", n)
			}
			h.refuse()
			h.hold(d.Readers[i])
			switch k.Profile().Version {
			case vkey.YubiKey543.Version:
				h.ykman(d.Readers[i])
			case vkey.YubiKey527.Version:
				h.tool(d.Readers[i])
			}
			h.wipe()
		})
	}
}

// costs checks how often f sent the PIN and the PUK to the card, right or wrong.
func (h host) costs(what string, pin, puk int, f func() error) {
	h.Helper()
	before := h.app.Counts()
	h.must(f())
	if after := h.app.Counts(); after.PINTried-before.PINTried != pin || after.PUKTried-before.PUKTried != puk {
		h.Errorf("%s sent the PIN %d and the PUK %d times, want %d and %d", what, after.PINTried-before.PINTried, after.PUKTried-before.PUKTried, pin, puk)
	}
}

func (h host) setUp() {
	ctx := h.Context()
	var p piv.Plan
	h.costs("a plan", 0, 0, func() (err error) {
		p, err = h.r.Plan(ctx, h.card, piv.Want{PINTries: 5, PUKTries: 4})
		return err
	})
	defer p.Destroy()
	f := p.Facts
	pin := 2 // for the tries, and to change it
	if !f.Metadata() {
		pin++ // to see that it is a new card's
	}
	if uint32(f.Serial) != h.key.Serial() || f.Version.String() != h.key.Profile().Version.String() || f.PIN.Left != 3 || len(f.Keys) != 0 {
		h.Errorf("a new card: %+v", f)
	}
	h.costs("init", pin, 1, func() error { return h.r.Init(ctx, h.card, p) })
	if !h.app.HoldsPIN(h.store.text(token.PIVPIN)) || !h.app.HoldsPUK(h.store.text(token.PIVPUK)) {
		h.Error("the store has not what the card has")
	}
	alg := pivapplet.AES192
	if !f.Version.AtLeast(5, 4, 0) {
		alg = pivapplet.TripleDES
	}
	if !h.app.HoldsManagementKey(alg, []byte(h.store.text(token.PIVManagementKey))) {
		h.Error("the store has not the management key that the card has")
	}
	if pin, puk := h.app.Tries(); pin != 5 || puk != 4 {
		h.Errorf("%d and %d tries", pin, puk)
	}
	again, err := h.r.Plan(ctx, h.card, piv.Want{})
	h.must(err)
	defer again.Destroy()
	if !again.Ready() {
		h.Errorf("set up, and still to do: %v", again.Steps)
	}
}

func (h host) certify() {
	ctx := h.Context()
	var public crypto.PublicKey
	h.costs("generate", 0, 0, func() (err error) {
		public, err = h.r.Generate(ctx, h.card, piv.GenerateSpec{Slot: piv.Authentication})
		return err
	})
	subject := pkix.Name{CommonName: "Ada"}
	var der []byte
	h.costs("a request", 1, 0, func() (err error) {
		der, err = h.r.Request(ctx, h.card, piv.CertificateSpec{Slot: piv.Authentication, Subject: subject, UPN: "ada@example.org"})
		return err
	})
	request, err := x509.ParseCertificateRequest(der)
	h.must(err)
	if err := request.CheckSignature(); err != nil || !piv.SameKey(request.PublicKey, public) {
		h.Errorf("request: %v", err)
	}
	var cert *x509.Certificate
	h.costs("a certificate", 1, 0, func() (err error) {
		cert, err = h.r.SelfSign(ctx, h.card, piv.CertificateSpec{Slot: piv.Authentication, Subject: subject, Valid: time.Hour})
		return err
	})
	f, err := h.card.Facts(ctx)
	h.must(err)
	have := f.Slot(piv.Authentication)
	if have.Certificate == nil || !have.Certificate.Equal(cert) || have.Generated != piv.Yes || have.Algorithm != piv.P256 || have.PIN != piv.PINOnce || !f.CHUID || !f.CCC {
		h.Errorf("after it was certified: %+v", f)
	}
	if _, err := h.r.Generate(ctx, h.card, piv.GenerateSpec{Slot: piv.Authentication}); !errors.As(err, new(*piv.OccupiedError)) {
		h.Errorf("over a key: %v", err)
	}
	h.costs("import", 0, 0, func() error {
		return h.r.ImportCertificate(ctx, h.card, piv.ImportSpec{Slot: piv.Authentication, Certificate: issued(h.T, public, "CA")})
	})
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	if err := h.r.ImportCertificate(ctx, h.card, piv.ImportSpec{Slot: piv.Authentication, Certificate: issued(h.T, other.Public(), "CA"), Overwrite: true}); !errors.Is(err, piv.ErrOtherKey) {
		h.Errorf("the certificate of another key: %v", err)
	}
	var roots piv.Roots
	h.must(roots.Add(append(pivapplet.TestCA().RootPEM(), pivapplet.TestCA().IntermediatePEM()...)))
	var a piv.Attested
	h.costs("attest", 0, 0, func() (err error) {
		a, err = h.r.Attest(ctx, h.card, piv.Authentication, roots)
		return err
	})
	if uint32(a.Serial) != h.key.Serial() || a.PIN != piv.PINOnce || !piv.SameKey(a.Public, public) {
		h.Errorf("attested: %+v", a)
	}
	if _, err := h.r.Attest(ctx, h.card, piv.KeyManagement, roots); !errors.Is(err, piv.ErrNoKey) {
		h.Errorf("attest an empty slot: %v", err)
	}
	h.always(f)
}

// always signs with a key that wants the PIN for each signature, of another algorithm on each firmware.
func (h host) always(f piv.Facts) {
	spec := piv.KeySpec{Algorithm: piv.P384}
	switch {
	case f.Version.AtLeast(5, 7, 0):
		spec.Algorithm = piv.Ed25519
	case f.Version.AtLeast(5, 4, 0):
		spec.Algorithm = piv.RSA2048
	}
	_, err := h.r.Generate(h.Context(), h.card, piv.GenerateSpec{Slot: piv.Signature, Key: spec})
	h.must(err)
	for range 2 {
		der, err := h.r.Request(h.Context(), h.card, piv.CertificateSpec{Slot: piv.Signature})
		h.must(err)
		request, err := x509.ParseCertificateRequest(der)
		h.must(err)
		h.must(request.CheckSignature())
	}
	if spec.Algorithm == piv.Ed25519 {
		h.must(h.r.Delete(h.Context(), h.card, piv.DeleteSpec{Slot: piv.Signature, Key: true, Certificate: true}))
	}
}

// issued is a certificate of some CA's.
func issued(t *testing.T, public any, by string) *x509.Certificate {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Ada"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{Subject: pkix.Name{CommonName: by}}, public, ca)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// agree opens what was sealed to the card's key, after the PIN and not before.
func (h host) agree() {
	ctx := h.Context()
	public, err := h.r.Generate(ctx, h.card, piv.GenerateSpec{Slot: piv.KeyManagement})
	h.must(err)
	exchanger, err := h.card.Exchanger(ctx, piv.KeyManagement, public)
	h.must(err)
	private, err := hpke.NewDHKEMPrivateKey(exchanger)
	h.must(err)
	sealed, err := hpke.Seal(private.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), nil, []byte("sealing key"))
	h.must(err)
	if _, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), nil, sealed); !errors.Is(err, piv.ErrNotVerified) {
		h.Errorf("without the PIN: %v", err)
	}
	f, err := h.card.Facts(ctx)
	h.must(err)
	h.must(h.r.Verify(ctx, h.card, f, piv.Given{}))
	for range 2 {
		plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), nil, sealed)
		if err != nil || !bytes.Equal(plain, []byte("sealing key")) {
			h.Fatalf("%q, %v", plain, err)
		}
	}
}

// refuse counts what wrong PINs and PUKs cost.
func (h host) refuse() {
	ctx := h.Context()
	f, err := h.card.Facts(ctx)
	h.must(err)
	wrong := piv.Given{PIN: secret.Copy([]byte("918273")), PUK: secret.Copy([]byte("91827364"))}
	var refused *piv.PINError
	for range 2 { // the second is not sent
		if err := h.r.Verify(ctx, h.card, f, wrong); !errors.As(err, &refused) || refused.Left != 4 || refused.What != token.PIVPIN {
			h.Errorf("wrong PIN: %v", err)
		}
	}
	if err := h.r.Unblock(ctx, h.card, piv.UnblockSpec{Given: wrong}); !errors.As(err, &refused) || refused.Left != 3 || refused.What != token.PIVPUK {
		h.Errorf("wrong PUK: %v", err)
	}
	if n := h.app.Counts(); n.PINWrong != 1 || n.PUKWrong != 1 {
		h.Errorf("two mistakes cost %+v", n)
	}
	if err := h.card.Authenticate(ctx, secret.Copy(make([]byte, 24))); !errors.Is(err, piv.ErrManagementKey) {
		h.Errorf("wrong management key: %v", err)
	}
	if _, err := h.card.Generate(ctx, secret.Copy(bytes.Repeat([]byte("0123456789ab"), 2)), piv.CardAuthentication, piv.KeySpec{}.In(piv.CardAuthentication)); !errors.Is(err, piv.ErrManagementKey) || errors.As(err, &refused) && refused.What != token.PIVPUK {
		h.Errorf("generate with a wrong management key: %v", err)
	}
	h.costs("unblock", 0, 1, func() error { return h.r.Unblock(ctx, h.card, piv.UnblockSpec{}) })
	if !h.app.HoldsPIN(h.store.text(token.PIVPIN)) {
		h.Error("the store has not the PIN after it was unblocked")
	}
	h.app.Burn(1, 1)
	before := h.app.Counts()
	if err := h.r.Verify(ctx, h.card, f, piv.Given{}); !errors.As(err, new(*piv.LastTryError)) {
		h.Errorf("with one try left: %v", err)
	}
	if f.Metadata() {
		if err := h.r.Unblock(ctx, h.card, piv.UnblockSpec{}); !errors.As(err, new(*piv.LastTryError)) {
			h.Errorf("with one try left of the PUK: %v", err)
		}
	}
	if after := h.app.Counts(); after != before {
		h.Errorf("one try was left, and used: %+v", after)
	}
	h.must(h.r.Verify(ctx, h.card, f, piv.Given{LastTry: true}))
}

// hold checks that the PIN is forgotten when the card is given back, and that a card that is held is refused.
func (h host) hold(reader string) {
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	if _, err := h.card.PINTries(ctx); !errors.Is(err, context.Canceled) {
		h.Errorf("a context that ended: %v", err)
	}
	if h.key.Serial() == testSerial { // that takes three seconds; Open itself is pcsc's to prove
		other := &Card{readers: pcsc.System(), reader: reader}
		if _, err := other.Attest(h.Context(), piv.Authentication); !errors.As(err, new(*pcsc.HeldError)) {
			h.Errorf("by piv-go, while it is held: %v", err)
		}
	}
	h.must(h.card.Authenticate(h.Context(), secret.Copy([]byte(h.store.text(token.PIVManagementKey)))))
	h.must(h.card.closeOwn()) // as before piv-go's turn, when another program may come in between
	if answer, err := h.key.Card().Transmit([]byte("\x00\xDB\x3F\xFF\x08\x5C\x03\x5F\xC1\x21\x53\x01\x00")); err != nil || bytes.Equal(answer, []byte{0x90, 0}) {
		h.Errorf("the card still takes the management key for proven: %x, %v", answer, err)
	}
	h.must(h.r.Verify(h.Context(), h.card, piv.Facts{Serial: token.Serial(h.key.Serial())}, piv.Given{LastTry: true}))
	if _, err := h.card.Attest(h.Context(), piv.Authentication); err != nil { // by piv-go, the PIN being verified
		h.Error(err)
	}
	if !h.card.verified {
		h.Error("the PIN was forgotten too early")
	}
	h.must(h.card.Close())
	h.must(h.card.Close())
	if answer, err := h.key.Card().Transmit([]byte{0, 0x20, 0, 0x80}); err != nil || bytes.Equal(answer, []byte{0x90, 0}) {
		h.Errorf("the card still knows the PIN: %x, %v", answer, err)
	}
	if _, err := h.card.Facts(h.Context()); !errors.Is(err, os.ErrClosed) {
		h.Errorf("of a closed card: %v", err)
	}
	h.otherKey(reader)
}

// otherKey: between two uses of a reader another key may have been put into it.
func (h host) otherKey(reader string) {
	for way, use := range map[string]func(*Card) error{
		"by own commands": func(c *Card) error { _, err := c.Facts(h.Context()); return err },
		"by piv-go":       func(c *Card) error { _, err := c.Attest(h.Context(), piv.Authentication); return err },
	} {
		card := &Card{readers: pcsc.System(), reader: reader, serial: 1}
		if err := use(card); !errors.Is(err, piv.ErrOtherCard) || card.own != nil || card.lib != nil {
			h.Errorf("another key, %s: %v", way, err)
		}
		h.must(card.Close())
	}
}

// wipe resets the card, and pulls it out.
func (h host) wipe() {
	ctx := h.Context()
	management := secret.Copy([]byte(h.store.text(token.PIVManagementKey)))
	for way, prove := range map[string]func(*Card) error{
		"by own commands": func(c *Card) error { return c.Authenticate(ctx, management) },
		"by piv-go":       func(c *Card) error { return c.SetManagementKey(ctx, management, management) },
	} {
		card := open(h.T, h.card.Reader())
		h.must(prove(card))
		h.must(card.Close())
		if answer, err := h.key.Card().Transmit([]byte{0, 0xFF, 0xFF, 0xFF, 0}); err != nil || bytes.Equal(answer, []byte{0x6A, 0x80}) {
			h.Errorf("the card still believes whoever knew the management key, %s: %x, %v", way, answer, err)
		}
	}
	card := open(h.T, h.card.Reader())
	h.must(h.r.Reset(ctx, card))
	if n := h.store.count(); n != 0 || !h.app.HoldsPIN("123456") {
		h.Errorf("after the reset the store has %d secrets", n)
	}
	p, err := h.r.Plan(ctx, card, piv.Want{PIN: secret.Copy([]byte("correct1"))})
	h.must(err)
	defer p.Destroy()
	h.app.SetFault(pivapplet.Fault{INS: 0x24, Nth: 1, When: pivapplet.After, Kind: pivapplet.Leave})
	err = h.r.Init(ctx, card, p)
	if !errors.Is(err, usbhid.ErrGone) && !errors.Is(err, pcsc.ErrNoCard) {
		h.Errorf("pulled out while the PUK was changed: %v", err)
	}
	if err := card.VerifyPIN(ctx, piv.DefaultPIN()); !errors.Is(err, usbhid.ErrGone) && !errors.Is(err, pcsc.ErrNoCard) {
		h.Errorf("of a card that left: %v", err)
	}
	h.must(card.Close())
	h.key.Plug()
	card = open(h.T, h.card.Reader())
	again, err := h.r.Plan(ctx, card, piv.Want{PIN: secret.Copy([]byte("correct1"))})
	h.must(err)
	defer again.Destroy()
	h.must(h.r.Init(ctx, card, again))
	if !h.app.HoldsPIN("correct1") || h.store.text(token.PIVPIN) != "correct1" || !h.app.HoldsPUK(h.store.text(token.PIVPUK)) {
		h.Error("after it was pulled out and set up again the store has not what the card has")
	}
}
