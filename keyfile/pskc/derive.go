package pskc

import (
	"crypto/pbkdf2"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Limits of what a file may ask for. Ten million rounds are some seconds; the longest key is AES-256's.
const (
	maxIterations = 10_000_000
	maxSalt       = 1024 // bytes
)

// derivation is how a file makes its encryption key of a passphrase: PBKDF2. Source: RFC 6030 §6.2; RFC 8018 §5.2.
type derivation struct {
	used       bool // the file has a DerivedKey
	method     string
	salt       string // base64
	iterations string
	keySize    string // bytes
	prf        string // an HMAC; "" is HMAC-SHA1
}

// pbkdf2Params are a derivation whose limits were checked.
type pbkdf2Params struct {
	prf          func() hash.Hash
	salt         []byte
	rounds, size int
}

// key is the key of a passphrase.
func (p pbkdf2Params) key(passphrase secret.Bytes) (secret.Bytes, error) {
	key, err := pbkdf2.Key(p.prf, string(passphrase.Reveal()), p.salt, p.rounds, p.size)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("derive the key: %w", err)
	}
	return secret.New(key), nil
}

// params checks what the file says. Every error is about the file.
func (d derivation) params() (p pbkdf2Params, err error) {
	if m := fragment(d.method); m != "pbkdf2" {
		return p, errors.New("its key is derived with a method that this reader does not know: it reads PBKDF2")
	}
	var ok bool
	if p.prf, ok = hashFunctions["sha1"]; d.prf != "" {
		p.prf, ok = hmacOf(d.prf)
	}
	if !ok {
		return p, errors.New("its key is derived with a function that this reader does not know")
	}
	if p.salt, ok = unbase64([]byte(d.salt)); !ok || len(p.salt) == 0 || len(p.salt) > maxSalt {
		return p, fmt.Errorf("its salt is missing, not base64 or longer than %d bytes", maxSalt)
	}
	if p.rounds, err = strconv.Atoi(d.iterations); err != nil || p.rounds < 1 || p.rounds > maxIterations {
		return p, fmt.Errorf("its iteration count is no number from 1 to %d", maxIterations)
	}
	if p.size, err = strconv.Atoi(d.keySize); err != nil || !slices.Contains([]int{16, 24, 32}, p.size) {
		return p, errors.New("its key length is not 16, 24 or 32")
	}
	return p, nil
}

// set takes the text of an element below DerivedKey.
func (d *derivation) set(path, text string) {
	switch {
	case strings.HasSuffix(path, "/salt/specified"):
		d.salt = text
	case strings.HasSuffix(path, "/iterationcount"):
		d.iterations = text
	case strings.HasSuffix(path, "/keylength"):
		d.keySize = text
	case strings.HasSuffix(path, "/prf") && text != "":
		d.prf = text // python-pskc writes it as text, where the schema has an attribute
	}
}
