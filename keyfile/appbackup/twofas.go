package appbackup

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"iter"

	"golang.org/x/crypto/pbkdf2"

	"github.com/tokendesk/tokendesk/keyfile"
)

// TwoFAS is the backup of 2FAS, schema 1 to 4. An encrypted one has its services as base64 of three parts with colons between:
// data (AES-256-GCM), salt, nonce; the key is PBKDF2-HMAC-SHA256 of the passphrase.
type TwoFAS struct{ ask keyfile.Ask }

var _ keyfile.Unlocker = TwoFAS{}

const (
	twoFASSchema     = 4 // the greatest that is known
	twoFASIterations = 10_000
)

// Name implements keyfile.Reader.
func (TwoFAS) Name() string { return "2fas" }

// Unlock implements keyfile.Unlocker.
func (TwoFAS) Unlock(ask keyfile.Ask) keyfile.Reader { return TwoFAS{ask} }

// Detect implements keyfile.Reader.
func (TwoFAS) Detect(head []byte) int {
	return max(detect(head, "{", 80, "services", "schemaVersion"), detect(head, "{", 70, "services", "secret", "otp"),
		detect(head, "{", 90, "servicesEncrypted"))
}

// Decode implements keyfile.Reader.
func (f TwoFAS) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return decode(f.Name(), r, f.open, parseTwoFAS)
}

func (f TwoFAS) open(doc []byte) (opened, error) {
	var h struct {
		SchemaVersion     int
		ServicesEncrypted text
	}
	if err := header(doc, &h); err != nil {
		return opened{}, err
	}
	if h.SchemaVersion < 1 || h.SchemaVersion > twoFASSchema {
		return opened{}, ErrOther
	}
	if len(h.ServicesEncrypted) == 0 {
		return opened{doc, []string{"services"}}, nil
	}
	parts := bytes.Split(h.ServicesEncrypted, []byte(":"))
	if len(parts) != 3 {
		return opened{}, ErrOther
	}
	data, salt, nonce := unbase64(parts[0]), unbase64(parts[1]), unbase64(parts[2])
	if len(data) < tagSize || len(salt) == 0 || len(nonce) != nonceSize {
		return opened{}, ErrOther
	}
	passphrase, err := askPassphrase(f.ask)
	defer passphrase.Destroy()
	if err != nil {
		return opened{}, err
	}
	key := pbkdf2.Key(passphrase.Reveal(), salt, twoFASIterations, keySize, sha256.New)
	defer clear(key)
	plain, err := openGCM(key, nonce, data)
	return opened{plain, nil}, err
}

func parseTwoFAS(raw []byte) account {
	var e struct {
		Name   string
		Secret text
		OTP    struct {
			Account, Issuer, Label, Algorithm, TokenType string
			Digits, Period, Counter                      json.Number
		}
	}
	if field, note := unmarshal(raw, &e); note != "" {
		return bad(field, note)
	}
	a := account{kind: e.OTP.TokenType, hash: e.OTP.Algorithm, issuer: e.OTP.Issuer, name: e.OTP.Account, base32: e.Secret,
		digits: e.OTP.Digits, period: e.OTP.Period, counter: e.OTP.Counter}
	if a.kind == "" { // before schema 2 there was nothing else
		a.kind = "totp"
	}
	if a.issuer == "" {
		a.issuer = e.Name
	}
	return a
}
