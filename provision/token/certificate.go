package token

import "time"

// MaxCertificateName is the longest issuer, number or subject of a certificate that a store takes, in bytes.
const MaxCertificateName = 4 << 10

// Certificate is one of a key's PIV application. It is not this program's to kill: when the key is lost, whoever issued it must revoke it.
type Certificate struct {
	Serial     Serial
	Slot       string // "9a"
	Issuer     string // its name, as RFC 4514 writes it
	Number     string // the issuer's serial number of it, in hexadecimal
	Subject    string
	NotAfter   time.Time
	SHA256     string // of the certificate, in hexadecimal
	PublicKey  string // SHA-256 of its SubjectPublicKeyInfo, in hexadecimal: the key that makes it worth something
	SelfSigned bool
	Seen       time.Time
	Gone       time.Time // when its key was; zero: it is there
}

// Valid reports whether it lets in whoever has the key: the key is there, and it has not ended.
func (c Certificate) Valid(at time.Time) bool { return c.Gone.IsZero() && at.Before(c.NotAfter) }

// WhenLost says what makes it worthless when its key is lost.
func (c Certificate) WhenLost() string {
	if c.SelfSigned {
		return "remove its trust where it was trusted"
	}
	return "have it revoked there"
}

// PIVHandover is what the store is told when the PIV application of a key was set up.
type PIVHandover struct {
	Serial   Serial
	Firmware string
	Holder   PersonID // 0: whoever has it
	Reassign bool     // take the key from another person
	Made     string   // slot whose key was made for the holder; "": none was
}
