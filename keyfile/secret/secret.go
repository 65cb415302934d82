// Package secret holds key bytes that do not print and can be destroyed.
//
// A Bytes is passed by value and copied freely; every copy names the same memory. No formatting verb, no logger and no
// encoder shows the bytes, neither directly nor through an unexported field of another struct: the bytes sit behind two
// indirections, where package fmt stops following pointers. Whoever creates a Bytes owns it and calls Destroy.
//
// What this does not do: the runtime may have copied the bytes before they came here (a string, a grown slice, a stack
// that moved), and Destroy cannot reach those copies.
package secret

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// ErrPrinted is what every encoder gets that tries to write a secret.
var ErrPrinted = errors.New("a secret does not encode")

// Redacted is what stands in for a secret wherever one is printed.
const Redacted = "[secret]"

// Bytes is secret material of any length. The zero value is empty and usable. A Bytes must not be compared with ==
// (it does not compile); use Equal. Not safe for concurrent use with Destroy.
type Bytes struct {
	_ [0]func() // incomparable
	p **[]byte
}

// New takes ownership of b: the caller must not use b afterwards. Destroy clears b itself.
func New(b []byte) Bytes {
	p := &b
	return Bytes{p: &p}
}

// Copy makes a secret from a copy of b; the caller keeps and clears b.
func Copy(b []byte) Bytes { return New(append([]byte(nil), b...)) }

// Random draws n bytes from r, which is crypto/rand.Reader outside tests.
func Random(r io.Reader, n int) (Bytes, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return Bytes{}, fmt.Errorf("draw %d random bytes: %w", n, err)
	}
	return New(b), nil
}

// FromHex reads n bytes of hexadecimal text, either case. The error never holds the text.
func FromHex(s string, n int) (Bytes, error) {
	if len(s) != 2*n {
		return Bytes{}, fmt.Errorf("want %d hexadecimal digits, got %d characters", 2*n, len(s))
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		clear(b)
		return Bytes{}, errors.New("not hexadecimal")
	}
	return New(b), nil
}

// Reveal returns the bytes themselves, not a copy: read them, do not keep or change them. It is nil after Destroy.
func (s Bytes) Reveal() []byte {
	if s.p == nil {
		return nil
	}
	return **s.p
}

// Len is the number of bytes.
func (s Bytes) Len() int { return len(s.Reveal()) }

// IsZero reports whether there is no byte other than 0; an empty secret is zero. Its time depends on the length only.
func (s Bytes) IsZero() bool {
	var or byte
	for _, b := range s.Reveal() {
		or |= b
	}
	return or == 0
}

// Equal compares in constant time for equal lengths.
func (s Bytes) Equal(t Bytes) bool { return subtle.ConstantTimeCompare(s.Reveal(), t.Reveal()) == 1 }

// Clone copies the bytes into a secret of its own.
func (s Bytes) Clone() Bytes { return Copy(s.Reveal()) }

// Destroy overwrites the bytes with zeros and empties every copy of s. It may be called more than once.
func (s Bytes) Destroy() {
	if s.p == nil {
		return
	}
	clear(**s.p)
	**s.p = nil
}

// String and Format show Redacted for every verb.
func (s Bytes) String() string { return Redacted }

// Format implements fmt.Formatter.
func (s Bytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue implements slog.LogValuer.
func (s Bytes) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalJSON refuses.
func (s Bytes) MarshalJSON() ([]byte, error) { return nil, ErrPrinted }

// MarshalText refuses.
func (s Bytes) MarshalText() ([]byte, error) { return nil, ErrPrinted }

// MarshalBinary refuses, so that encoding/gob does.
func (s Bytes) MarshalBinary() ([]byte, error) { return nil, ErrPrinted }
