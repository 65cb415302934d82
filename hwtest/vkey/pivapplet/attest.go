package pivapplet

import (
	"crypto"
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// attestsFrom is the first firmware that attests, reference yubikey-otp.md §8.
var attestsFrom = vkey.Version{Major: 4, Minor: 3, Build: 0}

// Tags of a certificate object, SP 800-73-4 part 1 table 10.
const (
	tagCertificate = 0x70
	tagCertInfo    = 0x71
	tagCheck       = 0xfe
)

// Yubico's arc of attestation extensions, 1.3.6.1.4.1.41482.3, and those in it, reference yubikey-otp.md §8.
const (
	extVersion    = 3 // 3 bytes
	extSerial     = 7 // INTEGER
	extPolicy     = 8 // PIN ‖ touch
	extFormFactor = 9 // 1 byte
)

func yubicoExtension(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, n}
}

// Attested is what an attestation says about a key.
type Attested struct {
	Version    vkey.Version
	Serial     uint32 // 0: left out
	PIN, Touch byte   // policies
	FormFactor byte   // 0: left out
	Public     crypto.PublicKey
}

// certify makes the attestation key and its certificate, the same for the same serial number and CA. That of 4.x has no basic constraints
// (piv-go's Verify: some of them).
func (a *Applet) certify() {
	if !a.has(slotAttestation) {
		return
	}
	ca := a.opts.CA
	private := derived(fmt.Sprintf("%s key %d", ca.name, a.serial))
	template := authority("Yubico PIV Attestation", int64(a.serial)+1<<32, 0)
	template.KeyUsage = 0
	if a.profile.Version.Major < 5 {
		template.BasicConstraintsValid, template.IsCA = false, false
	}
	parent, by := ca.root, ca.signs
	if a.since(5, 7) {
		parent, by = ca.intermediate, ca.signsNew
	}
	cert := sign(template, parent, private.Public(), by)
	a.keys[slotAttestation] = &key{alg: P256, private: private, pin: pinNever, touch: touchNever}
	a.objects[objectAttestation] = certificateObject(cert.Raw)
}

// certificateObject is an uncompressed certificate in its object.
func certificateObject(der []byte) []byte {
	return add(add(add(nil, tagCertificate, der), tagCertInfo, []byte{0}), tagCheck, nil)
}

// attest is Yubico's F9: P1 is the slot. A key that was not generated on the card, and no key, are 6a80 (piv-go's Attest).
func (a *Applet) attest(_ *session, c vkey.APDU) ([]byte, uint16) {
	if c.P2 != 0 || !a.has(c.P1) || c.P1 == slotAttestation {
		return nil, swWrongP1P2
	}
	k, by := a.keys[c.P1], a.keys[slotAttestation]
	if k == nil || !k.generated {
		return nil, vkey.SWWrongData
	}
	items, ok := parse(a.objects[objectAttestation])
	if by == nil || !ok {
		return nil, swNoReference
	}
	above, err := x509.ParseCertificate(find(items, tagCertificate))
	signer, signs := by.private.(crypto.Signer)
	if err != nil || !signs {
		return nil, swNoReference
	}
	says := Attested{a.profile.Version, a.serial, k.pin, k.touch, a.profile.FormFactor, k.public()}
	if a.opts.Forge != nil {
		a.opts.Forge(&says)
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(append([]byte{1}, a.random(15)...)),
		Subject:      pkix.Name{CommonName: fmt.Sprintf("YubiKey PIV Attestation %x", c.P1)},
		NotBefore:    above.NotBefore, NotAfter: above.NotAfter, ExtraExtensions: says.extensions(),
	}
	// The one above only names the issuer: whether its key is this one is for the host to find out.
	issuer := &x509.Certificate{RawSubject: above.RawSubject}
	der, err := issue(template, issuer, says.Public, signer)
	if err != nil {
		return nil, swNoReference
	}
	return der, vkey.SWSuccess
}

// issue is x509.CreateCertificate for any key: crypto/x509 does not certify X25519, so that this puts it in place of another.
func issue(template, issuer *x509.Certificate, public crypto.PublicKey, by crypto.Signer) ([]byte, error) {
	if _, agrees := public.(*ecdh.PublicKey); !agrees {
		return x509.CreateCertificate(nil, template, issuer, public, by)
	}
	info, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(nil, template, issuer, by.Public(), by)
	if err != nil {
		return nil, err
	}
	var cert struct {
		Signed    []asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		return nil, err
	}
	const publicKeyAt = 6 // version, serial number, algorithm, issuer, validity, subject: RFC 5280 §4.1
	cert.Signed[publicKeyAt] = asn1.RawValue{FullBytes: info}
	signed, err := asn1.Marshal(cert.Signed)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(signed) // what CreateCertificate takes for P-256 and RSA
	if cert.Signature.Bytes, err = by.Sign(nil, digest[:], crypto.SHA256); err != nil {
		return nil, err
	}
	cert.Signature.BitLength = 8 * len(cert.Signature.Bytes)
	return asn1.Marshal(cert)
}

func (s *Attested) extensions() []pkix.Extension {
	list := []pkix.Extension{{Id: yubicoExtension(extVersion), Value: []byte{s.Version.Major, s.Version.Minor, s.Version.Build}}}
	if s.Serial != 0 {
		if number, err := asn1.Marshal(int64(s.Serial)); err == nil {
			list = append(list, pkix.Extension{Id: yubicoExtension(extSerial), Value: number})
		}
	}
	list = append(list, pkix.Extension{Id: yubicoExtension(extPolicy), Value: []byte{s.PIN, s.Touch}})
	if s.FormFactor != 0 {
		list = append(list, pkix.Extension{Id: yubicoExtension(extFormFactor), Value: []byte{s.FormFactor}})
	}
	return list
}
