package ykslot

import (
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
)

// MaxStrokes is the longest scan-code password: fixed part, UID and key. Source: reference yubikey-otp.md §3.3.
const MaxStrokes = FixedLen + UIDLen + KeyLen

// ScanCodes programs a slot to type a password stroke by stroke. Flags start from TypingFlags; Config adds that of the mode. The
// fixed part of the result is part of the password.
type ScanCodes struct {
	Text       secret.Bytes // UTF-8, 1 to MaxStrokes characters
	Layout     keyboard.Layout
	AccessCode secret.Bytes // to set: 6 bytes, or empty for none
	Flags
}

// Config checks the parts and returns the slot's configuration; the error is an *InvalidError, or a *keyboard.CharError for a
// character that the layout cannot type. Its secrets are copies, but for the access code; the caller destroys them and clears
// the fixed part.
func (s ScanCodes) Config() (Config, error) {
	c := Config{AccessCode: s.AccessCode, Flags: s.Flags}
	c.Flags.Config |= ShortTicket
	if c.Mode() != ModeScanCodes {
		return Config{}, &InvalidError{fmt.Sprintf("these are flags of %v, not of %v", c.Mode(), ModeScanCodes)}
	}
	strokes, err := s.Layout.Encode(s.Text)
	if err != nil {
		return Config{}, fmt.Errorf("password: %w", err)
	}
	defer strokes.Destroy()
	if n := strokes.Len(); n == 0 || n > MaxStrokes {
		return Config{}, &InvalidError{fmt.Sprintf("a password of %d characters; 1 to %d fit", n, MaxStrokes)}
	}
	var all [MaxStrokes]byte
	defer clear(all[:])
	copy(all[:], strokes.Reveal())
	c.Fixed = append([]byte(nil), all[:FixedLen]...)
	c.UID, c.Key = secret.Copy(all[FixedLen:FixedLen+UIDLen]), secret.Copy(all[FixedLen+UIDLen:])
	if err := c.Validate(); err != nil {
		clear(c.Fixed)
		c.UID.Destroy()
		c.Key.Destroy()
		return Config{}, err
	}
	return c, nil
}

// strokes are the 38 scan codes of a configuration. The caller destroys them.
func (c Config) strokes() secret.Bytes {
	b := make([]byte, MaxStrokes)
	copy(b, c.Fixed)
	copy(b[FixedLen:], c.UID.Reveal())
	copy(b[FixedLen+UIDLen:], c.Key.Reveal())
	return secret.New(b)
}

// GeneratePassword draws n characters from the layout's alphabet, each with the same chance, without space, tab and Enter. The
// default layout is keyboard "modhex", whose 32 characters carry 5 bits each. Errors are rand's, or an *InvalidError for a
// length that does not fit.
func GeneratePassword(rand io.Reader, l keyboard.Layout, n int) (secret.Bytes, error) {
	if n < 1 || n > MaxStrokes {
		return secret.Bytes{}, &InvalidError{fmt.Sprintf("a password of %d characters; 1 to %d fit", n, MaxStrokes)}
	}
	alphabet := []rune(l.Alphabet())
	if len(alphabet) == 0 || len(alphabet) > 256 {
		return secret.Bytes{}, &InvalidError{"there is no such keyboard layout"}
	}
	out := make([]rune, 0, n)
	defer func() { clear(out) }()
	var one [1]byte
	for len(out) < n {
		if _, err := io.ReadFull(rand, one[:]); err != nil {
			return secret.Bytes{}, fmt.Errorf("draw a password: %w", err)
		}
		if even := 256 - 256%len(alphabet); int(one[0]) < even { // the rest would favour the first characters
			out = append(out, alphabet[int(one[0])%len(alphabet)])
		}
	}
	return secret.New([]byte(string(out))), nil
}
