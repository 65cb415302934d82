package token

import "time"

// Attestation is what became of the question whether a key is genuine: its maker's certificate in slot F9 signed for a key that was
// generated on it. A store keeps the last answer for each serial number; the audit chain has them all.
type Attestation struct {
	Serial Serial // that the key told; with Genuine its maker certified it
	// Refused says why nothing is proven; "": the key is genuine, and what follows is certified.
	Refused    string
	Firmware   string
	FormFactor string
	Root       string // SHA-256 of the root's certificate, in hexadecimal
	// Chain are the certificates in DER, that of the generated key first, without the root.
	Chain    [][]byte
	Operator string
	At       time.Time
}

// Limits of what a store and a journal take of it, in bytes.
const (
	MaxChain   = 16 << 10
	MaxRefused = 400
)

// Genuine reports whether it proves something.
func (a Attestation) Genuine() bool { return a.Refused == "" && a.Root != "" }

// AttestationRule is what the site wants of keys that come in.
type AttestationRule struct {
	Required bool   // a key that is not proven genuine is not written
	Roots    []byte // certificates in PEM that a chain may end at
	Set      time.Time
	By       string
}
