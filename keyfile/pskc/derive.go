package pskc

import (
	"crypto/pbkdf2"
	"errors"
	"fmt"
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

// key is the key of a passphrase. Every error is about the file.
func (d derivation) key(passphrase secret.Bytes) (secret.Bytes, error) {
	salt, size, rounds, err := d.params()
	if err != nil {
		return secret.Bytes{}, err
	}
	prf := hashFunctions["sha1"]
	if d.prf != "" {
		h, ok := hmacOf(d.prf)
		if !ok {
			return secret.Bytes{}, errors.New("its key is derived with a function that this reader does not know")
		}
		prf = h
	}
	key, err := pbkdf2.Key(prf, string(passphrase.Reveal()), salt, rounds, size)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("derive the key: %w", err)
	}
	return secret.New(key), nil
}

func (d derivation) params() (salt []byte, size, rounds int, err error) {
	if m := fragment(d.method); m != "pbkdf2" {
		return nil, 0, 0, errors.New("its key is derived with a method that this reader does not know: it reads PBKDF2")
	}
	salt, ok := unbase64([]byte(d.salt))
	if !ok || len(salt) == 0 || len(salt) > maxSalt {
		return nil, 0, 0, fmt.Errorf("its salt is missing, not base64 or longer than %d bytes", maxSalt)
	}
	rounds, err = strconv.Atoi(d.iterations)
	if err != nil || rounds < 1 || rounds > maxIterations {
		return nil, 0, 0, fmt.Errorf("its iteration count is no number from 1 to %d", maxIterations)
	}
	size, err = strconv.Atoi(d.keySize)
	if err != nil || !slices.Contains([]int{16, 24, 32}, size) {
		return nil, 0, 0, errors.New("its key length is not 16, 24 or 32")
	}
	return salt, size, rounds, nil
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
