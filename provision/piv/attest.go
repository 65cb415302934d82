package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// Roots are the certificates that attestations are held against: the maker's, from files.
type Roots struct{ roots, intermediates []*x509.Certificate }

// Add reads certificates in PEM; other blocks are passed over. Those that are signed with their own key are trusted, the others (firmware 5.7
// has two between) only help to get there. It is an error if there is none.
func (r *Roots) Add(text []byte) error {
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		found = true
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil {
			r.roots = append(r.roots, cert)
		} else {
			r.intermediates = append(r.intermediates, cert)
		}
	}
	if !found {
		return errors.New("there is no certificate in PEM in it")
	}
	return nil
}

// Empty reports whether nothing is trusted.
func (r *Roots) Empty() bool { return len(r.roots) == 0 }

// Attested is what an attestation says of a key. Fields that it does not say are zero.
type Attested struct {
	Slot       Slot
	Public     crypto.PublicKey
	Serial     token.Serial
	Version    ykslot.Version
	FormFactor ykslot.FormFactor
	FIPS       bool
	PIN        PINPolicy
	Touch      TouchPolicy
	// Answered: the card signed a challenge with the key. Without that the certificates may be copies of another key's, which are no secret. Only
	// Runner.Attest asks, and only for a key that signs without PIN and touch.
	Answered bool
	// Maker is the certificate of the key in slot F9, Certificate the one that it signed.
	Maker, Certificate *x509.Certificate
	// Chain leads from Certificate over Maker to a root, which is the last.
	Chain []*x509.Certificate
}

// The extensions. Source: reference yubikey-otp.md §8; Yubico, PIV attestation.
var (
	oidFirmware   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 3}
	oidSerial     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}
	oidPolicy     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 8}
	oidFormFactor = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 9}
)

const (
	attestedName = "YubiKey PIV Attestation "
	formFIPS     = 0x80 // in the byte of the form factor, reference yubikey-otp.md §7.2
	formMask     = 0x3F
)

// Attest asks a card to attest the key in a slot and verifies what it says at the runner's time, against the card too; see Attested.Answered for
// what makes that a proof. Errors wrap ErrNoKey (none that was generated there) or ErrNotGenuine, or are an *UnsupportedError.
func (r *Runner) Attest(ctx context.Context, card Card, s Slot, roots Roots) (Attested, error) {
	f, err := card.Facts(ctx)
	if err != nil {
		return Attested{}, err
	}
	cert, err := card.Attest(ctx, s)
	if err != nil {
		return Attested{}, err
	}
	if f.Maker == nil {
		return Attested{}, fmt.Errorf("%w: the card has no certificate in slot %v", ErrNotGenuine, Attestation)
	}
	a, err := VerifyAttestation(roots, f.Maker, cert, s, r.Now())
	if err != nil {
		return Attested{}, err
	}
	have := f.Slot(s).Public
	switch {
	case a.Serial != 0 && f.Serial != 0 && a.Serial != f.Serial:
		return Attested{}, fmt.Errorf("%w: it is of key %v, this one says that it is %v", ErrNotGenuine, a.Serial, f.Serial)
	case a.Version != f.Version:
		return Attested{}, fmt.Errorf("%w: it says firmware %v, the key says %v", ErrNotGenuine, a.Version, f.Version)
	case have != nil && !SameKey(have, a.Public):
		return Attested{}, fmt.Errorf("%w: it is of another key than the one in slot %v", ErrNotGenuine, s)
	}
	if k, ok := AlgorithmOf(a.Public); ok && k != X25519 && a.PIN == PINNever && a.Touch == TouchNever {
		if err := r.challenge(ctx, card, a); err != nil {
			return Attested{}, err
		}
		a.Answered = true
	}
	return a, nil
}

// challengeLen is of what a key signs, in bytes: a digest of SHA-256.
const challengeLen = sha256.Size

// challenge has a card sign with the key that it attested.
func (r *Runner) challenge(ctx context.Context, card Card, a Attested) error {
	asked := make([]byte, challengeLen)
	if _, err := io.ReadFull(r.Rand, asked); err != nil {
		return fmt.Errorf("draw a challenge: %w", err)
	}
	signer, err := card.Signer(ctx, a.Slot, a.Public)
	if err != nil {
		return err
	}
	options := crypto.SignerOpts(crypto.SHA256)
	if _, ok := a.Public.(ed25519.PublicKey); ok {
		options = crypto.Hash(0)
	}
	signature, err := signer.Sign(r.Rand, asked, options)
	switch {
	case errors.Is(err, ErrNotVerified), errors.Is(err, ErrNoKey), errors.As(err, new(apdu.Status)):
		return fmt.Errorf("%w: the key does not sign: %w", ErrNotGenuine, err)
	case err != nil:
		return err
	case !verifies(a.Public, asked, signature):
		return fmt.Errorf("%w: the certificates are of another key than the one in slot %v", ErrNotGenuine, a.Slot)
	}
	return nil
}

func verifies(public crypto.PublicKey, digest, signature []byte) bool {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(k, digest, signature)
	}
	return false
}

// VerifyAttestation proves that the key of cert was generated in slot s of a YubiKey: maker, the certificate in slot F9, leads to one of the
// roots, and its key signed cert. Every error wraps ErrNotGenuine. It is pure.
func VerifyAttestation(roots Roots, maker, cert *x509.Certificate, s Slot, at time.Time) (Attested, error) {
	fail := func(format string, args ...any) (Attested, error) {
		return Attested{}, fmt.Errorf("%w: %w", ErrNotGenuine, fmt.Errorf(format, args...))
	}
	if roots.Empty() {
		return fail("no root certificate is trusted")
	}
	if strings.HasPrefix(maker.Subject.CommonName, attestedName) { // a key in a slot can sign anything
		return fail("the certificate in slot %v is an attestation itself", Attestation)
	}
	above := *maker
	if !above.BasicConstraintsValid { // of some keys of firmware 4, against RFC 5280 §4.2.1.9
		above.BasicConstraintsValid, above.IsCA, above.MaxPathLen = true, true, -1
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, c := range roots.roots {
		options.Roots.AddCert(c)
	}
	for _, c := range roots.intermediates {
		options.Intermediates.AddCert(c)
	}
	chains, err := above.Verify(options)
	if err != nil {
		return fail("the certificate in slot %v: %w", Attestation, err)
	}
	if err := cert.CheckSignatureFrom(&above); err != nil {
		return fail("it is not signed by the key in slot %v: %w", Attestation, err)
	}
	if at.Before(cert.NotBefore) || at.After(cert.NotAfter) {
		return fail("it is valid from %s to %s", cert.NotBefore.Format(time.DateOnly), cert.NotAfter.Format(time.DateOnly))
	}
	a, err := readAttestation(cert)
	if err != nil {
		return fail("%w", err)
	}
	a.Maker, a.Chain = maker, append([]*x509.Certificate{cert}, chains[0]...)
	if a.Slot != s {
		return fail("it is of slot %v, not %v", a.Slot, s)
	}
	return a, nil
}

// VerifyChain proves again what was proven once, by what was kept of it: chain begins as Attested.Chain, in DER. That the card answered is not in
// it, only that it could: a key that signs without PIN and touch was attested. Errors wrap ErrNotGenuine. It is pure.
func VerifyChain(roots Roots, chain [][]byte, at time.Time) (Attested, error) {
	if len(chain) < 2 {
		return Attested{}, fmt.Errorf("%w: certificates are missing", ErrNotGenuine)
	}
	cert, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return Attested{}, fmt.Errorf("%w: %w", ErrNotGenuine, err)
	}
	maker, err := x509.ParseCertificate(chain[1])
	if err != nil {
		return Attested{}, fmt.Errorf("%w: %w", ErrNotGenuine, err)
	}
	said, err := readAttestation(cert)
	if err != nil {
		return Attested{}, fmt.Errorf("%w: %w", ErrNotGenuine, err)
	}
	a, err := VerifyAttestation(roots, maker, cert, said.Slot, at)
	if err == nil && (a.PIN != PINNever || a.Touch != TouchNever) {
		return Attested{}, fmt.Errorf("%w: it is of a key that wants a PIN or a touch, so that it was never asked", ErrNotGenuine)
	}
	return a, err
}

// Kept is what a store keeps of a proof.
func (a Attested) Kept() token.Attestation {
	out := token.Attestation{Serial: a.Serial, Firmware: a.Version.String()}
	if a.FormFactor != 0 { // firmware before 5 certifies none
		out.FormFactor = a.FormFactor.String()
	}
	root := len(a.Chain) - 1
	for _, c := range a.Chain[:root] {
		out.Chain = append(out.Chain, c.Raw)
	}
	sum := sha256.Sum256(a.Chain[root].Raw)
	out.Root = hex.EncodeToString(sum[:])
	return out
}

// readAttestation reads what a certificate says, without a proof that it is true.
func readAttestation(cert *x509.Certificate) (Attested, error) {
	a := Attested{Public: cert.PublicKey, Certificate: cert}
	name, ok := strings.CutPrefix(cert.Subject.CommonName, attestedName)
	if !ok {
		return a, errors.New("its subject is not that of an attestation")
	}
	var err error
	if a.Slot, err = ParseSlot(name); err != nil {
		return a, errors.New("its subject names no slot")
	}
	for _, e := range cert.Extensions {
		v := e.Value
		switch {
		case e.Id.Equal(oidFirmware) && len(v) == 3:
			a.Version = ykslot.Version{Major: v[0], Minor: v[1], Patch: v[2]}
		case e.Id.Equal(oidPolicy) && len(v) == 2:
			a.PIN, a.Touch = PINPolicy(v[0]), TouchPolicy(v[1])
		case e.Id.Equal(oidFormFactor) && len(v) == 1:
			a.FormFactor, a.FIPS = ykslot.FormFactor(v[0]&formMask), v[0]&formFIPS != 0
		case e.Id.Equal(oidSerial):
			var n int64
			if rest, err := asn1.Unmarshal(v, &n); err != nil || len(rest) > 0 || n < 0 || n > 1<<32-1 {
				return a, errors.New("its serial number is malformed")
			}
			a.Serial = token.Serial(n)
		case e.Id.Equal(oidFirmware), e.Id.Equal(oidPolicy), e.Id.Equal(oidFormFactor):
			return a, errors.New("an extension of it is malformed")
		}
	}
	if a.Version == (ykslot.Version{}) {
		return a, errors.New("it does not say the firmware")
	}
	return a, nil
}

// FillAttested takes what a card's attestation says about a key for what its firmware does not tell otherwise. Nothing is proven by that.
func FillAttested(k *KeyFacts, cert *x509.Certificate) {
	k.Key, k.Generated, k.Public = Yes, Yes, cert.PublicKey
	k.Algorithm, _ = AlgorithmOf(cert.PublicKey)
	if a, err := readAttestation(cert); err == nil {
		k.PIN, k.Touch = a.PIN, a.Touch
	}
}
