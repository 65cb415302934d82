package appbackup

import (
	"encoding/json"
	"io"
	"iter"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// FreeOTPPlus is the JSON of FreeOTP+: {"tokenOrder":[…],"tokens":[…]}, each secret an array of signed bytes. The counter is
// that of the next code.
type FreeOTPPlus struct{}

var _ keyfile.Reader = FreeOTPPlus{}

// Name implements keyfile.Reader.
func (FreeOTPPlus) Name() string { return "freeotp-plus" }

// Detect implements keyfile.Reader.
func (FreeOTPPlus) Detect(head []byte) int {
	return max(detect(head, "{", 90, "tokenOrder"), detect(head, "{", 80, "tokens", "algo", "secret"))
}

// Decode implements keyfile.Reader.
func (f FreeOTPPlus) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return decode(f.Name(), r, func(doc []byte) (opened, error) { return opened{doc, []string{"tokens"}}, nil }, parseFreeOTP)
}

func parseFreeOTP(raw []byte) account {
	var e struct {
		Algo, Type, Label       string
		IssuerExt, IssuerInt    string
		Secret                  []int16
		Digits, Period, Counter json.Number
	}
	defer func() { clear(e.Secret) }()
	if field, note := unmarshal(raw, &e); note != "" {
		return bad(field, note)
	}
	if e.IssuerExt == "Steam" { // the app makes Steam's codes by the issuer's name
		e.Type = "steam"
	}
	if len(e.Secret) == 0 || len(e.Secret) > keyfile.MaxSeedSize {
		return bad("key", "not an array of 1 to 64 bytes")
	}
	seed := make([]byte, len(e.Secret))
	for i, b := range e.Secret {
		if b < -128 || b > 255 {
			clear(seed)
			return bad("key", "a number in it is no byte")
		}
		seed[i] = byte(b)
	}
	a := account{kind: e.Type, hash: e.Algo, issuer: e.IssuerExt, name: e.Label, seed: secret.New(seed), digits: e.Digits, period: e.Period, counter: e.Counter}
	if a.issuer == "" {
		a.issuer = e.IssuerInt
	}
	return a
}
