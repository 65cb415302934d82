package appbackup

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format's
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/pbkdf2"

	"github.com/tokendesk/tokendesk/keyfile"
)

// AndOTP is andOTP's backup: a JSON array of entries, or that encrypted, in which nothing says so:
//
//	4 bytes iterations, big endian; 12 bytes salt; 12 bytes nonce; AES-256-GCM    PBKDF2-HMAC-SHA1
//	12 bytes nonce; AES-256-GCM                                                   SHA-256 of the passphrase (old)
type AndOTP struct{ ask keyfile.Ask }

var _ keyfile.Unlocker = AndOTP{}

// The sizes of the encrypted form, in bytes, and its iterations: andOTP draws 140 000 to 160 000, its greatest when it reads
// is not known, Aegis takes 10 million from such a file.
const (
	andOTPIterationsSize = 4
	andOTPSaltSize       = 12
	andOTPLeast          = 140_000
	andOTPMost           = 160_000
	andOTPMaxIterations  = 10_000_000
)

// Name implements keyfile.Reader.
func (AndOTP) Name() string { return "andotp" }

// Unlock implements keyfile.Unlocker.
func (AndOTP) Unlock(ask keyfile.Ask) keyfile.Reader { return AndOTP{ask} }

// Detect implements keyfile.Reader. An encrypted file shows by its number of iterations only, an old one by nothing.
func (AndOTP) Detect(head []byte) int {
	if len(head) > andOTPIterationsSize && !utf8.Valid(head) {
		if n := binary.BigEndian.Uint32(head); n >= andOTPLeast && n <= andOTPMost {
			return 40
		}
	}
	return detect(head, "[", 80, "secret", "type", "label", "digits")
}

// Decode implements keyfile.Reader.
func (a AndOTP) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return decode(a.Name(), r, a.open, parseAndOTP)
}

func (a AndOTP) open(doc []byte) (opened, error) {
	if bytes.HasPrefix(bytes.TrimSpace(doc), []byte("[")) && utf8.Valid(doc) {
		return opened{doc, nil}, nil
	}
	if utf8.Valid(doc) || len(doc) < nonceSize+tagSize {
		return opened{}, ErrOther
	}
	passphrase, err := askPassphrase(a.ask)
	defer passphrase.Destroy()
	if err != nil {
		return opened{}, err
	}
	plain, err := openAndOTP(doc, passphrase.Reveal())
	if err != nil {
		key := sha256.Sum256(passphrase.Reveal())
		defer clear(key[:])
		plain, err = openGCM(key[:], doc[:nonceSize], doc[nonceSize:])
	}
	return opened{plain, nil}, err
}

func openAndOTP(doc, passphrase []byte) ([]byte, error) {
	const begin = andOTPIterationsSize + andOTPSaltSize
	n := binary.BigEndian.Uint32(doc)
	if len(doc) < begin+nonceSize+tagSize || n < 1 || n > andOTPMaxIterations {
		return nil, ErrPassphrase
	}
	key := pbkdf2.Key(passphrase, doc[andOTPIterationsSize:begin], int(n), keySize, sha1.New)
	defer clear(key)
	return openGCM(key, doc[begin:begin+nonceSize], doc[begin+nonceSize:])
}

func parseAndOTP(raw []byte) account {
	var e struct {
		Secret                  text
		Type, Algorithm, Label  string
		Issuer                  *string
		Digits, Period, Counter json.Number
	}
	if field, note := unmarshal(raw, &e); note != "" {
		return bad(field, note)
	}
	a := account{kind: e.Type, hash: e.Algorithm, name: e.Label, base32: e.Secret, digits: e.Digits, period: e.Period, counter: e.Counter}
	if e.Issuer != nil {
		a.issuer = *e.Issuer
	} else if issuer, name, ok := strings.Cut(e.Label, " - "); ok { // before the app had issuers
		a.issuer, a.name = issuer, name
	}
	return a
}
