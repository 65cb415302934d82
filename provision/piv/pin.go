package piv

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Lengths of PIN and PUK. Source: NIST SP 800-73-4 part 2 §2.4.3; the card pads with FF to 8.
const (
	MinPIN = 6
	MaxPIN = 8
)

// What a card has when it is new. Source: reference yubikey-otp.md §8.
const (
	defaultPIN = "123456"
	defaultPUK = "12345678"
	// defaultManagement is the 3DES and AES-192 key of 24 bytes.
	defaultManagement = "\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08"
)

// DefaultPIN is the PIN of a new card, DefaultPUK its PUK, DefaultManagementKey its management key: no secrets.
func DefaultPIN() secret.Bytes { return secret.Copy([]byte(defaultPIN)) }

// DefaultPUK is the PUK of a new card.
func DefaultPUK() secret.Bytes { return secret.Copy([]byte(defaultPUK)) }

// DefaultManagementKey is the management key of a new card.
func DefaultManagementKey() secret.Bytes { return secret.Copy([]byte(defaultManagement)) }

// isDefault reports whether it is the PIN or PUK of a new card.
func isDefault(s secret.Bytes) bool {
	return string(s.Reveal()) == defaultPIN || string(s.Reveal()) == defaultPUK
}

// common are the PINs that firmware 5.7 refuses where PIN complexity is on, of 6 to 8 characters. Source: Yubico, YubiKey
// technical manual, "PIN complexity".
var common = []string{
	"123456", "123123", "654321", "123321", "112233", "121212", "520520", "123654", "159753",
	"12345678", "1234567", "password", "qwerty", "abc123", "1q2w3e4r", "iloveyou",
}

// CheckPIN says why a new PIN or PUK is not to be taken; the error wraps ErrPIN and does not hold it. It is stricter than a
// card: 6 to 8 printable ASCII characters without spaces, none that firmware 5.7 refuses as too simple, and no run up or down of one step.
func CheckPIN(pin secret.Bytes) error {
	b := pin.Reveal()
	if len(b) < MinPIN || len(b) > MaxPIN {
		return fmt.Errorf("%w: it has %d characters, not %d to %d", ErrPIN, len(b), MinPIN, MaxPIN)
	}
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("%w: it has a space, or a character outside ASCII, that not every program sends alike", ErrPIN)
		}
	}
	if trivial(b) {
		return fmt.Errorf("%w: it is one of those that are tried first", ErrPIN)
	}
	return nil
}

// trivial reports whether a PIN is easily guessed: common, of one character, a run, or a repeated pair or triple.
func trivial(b []byte) bool {
	if slices.Contains(common, string(b)) {
		return true
	}
	for _, step := range []byte{0, 1, 0xFF} {
		run := true
		for i := 1; i < len(b); i++ {
			run = run && b[i] == b[i-1]+step
		}
		if run {
			return true
		}
	}
	for _, period := range []int{2, 3} {
		repeats := true
		for i := period; i < len(b); i++ {
			repeats = repeats && b[i] == b[i-period]
		}
		if repeats {
			return true
		}
	}
	return false
}

// redraws is how often a draw is rejected before the source is at fault.
const redraws = 1000

var errRand = errors.New("the random source does not give usable numbers")

// RandomPIN draws n digits, each as likely as the others, that CheckPIN takes. The caller destroys it.
func RandomPIN(r io.Reader, n int) (secret.Bytes, error) {
	for range redraws {
		pin, err := digits(r, n)
		if err != nil {
			return secret.Bytes{}, err
		}
		if CheckPIN(pin) == nil {
			return pin, nil
		}
		pin.Destroy()
	}
	return secret.Bytes{}, errRand
}

// digits draws n decimal digits; bytes from 250 up are rejected, so that none is likelier.
func digits(r io.Reader, n int) (secret.Bytes, error) {
	out, one := make([]byte, 0, n), make([]byte, 1)
	defer clear(one)
	for range redraws {
		if len(out) == n {
			return secret.New(out), nil
		}
		if _, err := io.ReadFull(r, one); err != nil {
			clear(out)
			return secret.Bytes{}, fmt.Errorf("draw a PIN: %w", err)
		}
		if one[0] < 250 {
			out = append(out, '0'+one[0]%10)
		}
	}
	clear(out)
	return secret.Bytes{}, errRand
}

// RandomManagementKey draws 24 bytes for a firmware: AES-192 since 5.4, 3DES before. All bytes alike and, for 3DES, halves that
// cancel each other are rejected. The caller destroys it.
func RandomManagementKey(r io.Reader) (secret.Bytes, error) {
	for range redraws {
		key, err := secret.Random(r, TripleDES.Len())
		if err != nil {
			return secret.Bytes{}, err
		}
		if !weak(key.Reveal()) {
			return key, nil
		}
		key.Destroy()
	}
	return secret.Bytes{}, errRand
}

// weak reports whether a key of 24 bytes is the default, or two of its three DES keys are the same but for parity, or all bytes
// of one are: such as the weak keys of DES, which are made of 01, FE, 1F, E0, 0E and F1. Source: NIST SP 800-67 §3.
func weak(key []byte) bool {
	if string(key) == defaultManagement {
		return true
	}
	same := func(a, b []byte) bool {
		for i := range a {
			if (a[i]^b[i])&0xFE != 0 {
				return false
			}
		}
		return true
	}
	parts := [3][]byte{key[:8], key[8:16], key[16:]}
	for i, p := range parts {
		if same(p, parts[(i+1)%3]) || weakDES(p) {
			return true
		}
	}
	return false
}

func weakDES(part []byte) bool {
	for _, b := range part {
		if !slices.Contains([]byte{0x00, 0xFE, 0x1E, 0xE0, 0x0E, 0xF0}, b&0xFE) {
			return false
		}
	}
	return true
}
