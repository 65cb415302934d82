package yubiotp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
	"io"
	"sync"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Verdict says what Open found. The zero value is a failure.
type Verdict uint8

// The verdicts.
const (
	BadCRC         Verdict = iota // wrong key, or a changed character
	WrongPrivateID                // intact and of this key, but the private ID is another
	OK
)

// String names the verdict.
func (v Verdict) String() string {
	switch v {
	case BadCRC:
		return "bad CRC"
	case WrongPrivateID:
		return "wrong private ID"
	case OK:
		return "OK"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Cipher opens and makes the blocks of one credential. It may be copied and used by any number of goroutines; Open does
// not allocate. It prints as secret.Redacted. The expanded AES key stays in memory until the garbage collector takes
// it, also after Destroy.
type Cipher struct {
	_ [0]func() // incomparable
	p **state   // two indirections: package fmt does not follow them
}

type state struct {
	mu        sync.Mutex
	block     cipher.Block
	privateID [PrivateIDLen]byte
	plain     [BlockLen]byte // scratch, cleared after each use
}

// NewCipher copies key (16 bytes) and privateID (6 bytes).
func NewCipher(key, privateID secret.Bytes) (Cipher, error) {
	if key.Len() != KeyLen || privateID.Len() != PrivateIDLen {
		return Cipher{}, fmt.Errorf("want a key of %d and a private ID of %d bytes, got %d and %d", KeyLen, PrivateIDLen, key.Len(), privateID.Len())
	}
	b, err := aes.NewCipher(key.Reveal())
	if err != nil {
		return Cipher{}, fmt.Errorf("make cipher: %w", err)
	}
	s := &state{block: b, privateID: [PrivateIDLen]byte(privateID.Reveal())}
	return Cipher{p: &s}, nil
}

// Open decrypts one block. The Token is zero when the verdict is BadCRC. The private ID is compared in constant time.
// The zero Cipher and a destroyed one open nothing: BadCRC.
func (c Cipher) Open(block [BlockLen]byte) (Token, Verdict) {
	if c.p == nil {
		return Token{}, BadCRC
	}
	s := *c.p
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block == nil {
		return Token{}, BadCRC
	}
	s.plain = block
	s.block.Decrypt(s.plain[:], s.plain[:])
	t, ok := Parse(&s.plain)
	same := subtle.ConstantTimeCompare(s.plain[:PrivateIDLen], s.privateID[:])
	clear(s.plain[:])
	switch {
	case !ok:
		return Token{}, BadCRC
	case same != 1:
		return t, WrongPrivateID
	}
	return t, OK
}

// Seal encrypts t with the credential's private ID, as a key does at a press. It is for virtual keys, tests and checks.
// It panics on the zero Cipher and a destroyed one.
func (c Cipher) Seal(t Token) [BlockLen]byte {
	s := *c.p
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Marshal(&s.plain, &s.privateID)
	s.block.Encrypt(s.plain[:], s.plain[:])
	return s.plain
}

// Destroy clears the private ID and drops the key, for every copy of c. It may be called more than once.
func (c Cipher) Destroy() {
	if c.p == nil {
		return
	}
	s := *c.p
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block = nil
	clear(s.privateID[:])
}

// Format implements fmt.Formatter: secret.Redacted for every verb.
func (c Cipher) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secret.Redacted) }
