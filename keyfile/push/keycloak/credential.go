package keycloak

import (
	"encoding/base32"
	"encoding/json"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/provision/token"
)

// otp is the type of OATH credentials. Source: reference key-files.md §8.3, as all below.
const otp = "otp"

// data is credentialData, JSON in a string.
type data struct {
	SubType        string `json:"subType"`
	Digits         int    `json:"digits"`
	Counter        int64  `json:"counter"`
	Period         int    `json:"period"` // seconds
	Algorithm      string `json:"algorithm"`
	SecretEncoding string `json:"secretEncoding"`
}

// dataOf says what kind of token rec is. A HOTP credential has a period that nothing uses.
func dataOf(rec keyfile.Record) data {
	d := data{SubType: "totp", Digits: rec.Digits, Period: int(rec.Period / time.Second), SecretEncoding: "BASE32",
		Algorithm: map[string]string{"sha1": "HmacSHA1", "sha256": "HmacSHA256", "sha512": "HmacSHA512"}[rec.Hash]}
	if rec.Kind == token.HOTP {
		d.SubType, d.Counter, d.Period = "hotp", rec.Counter, defaultPeriod
	}
	return d
}

const defaultPeriod = 30

// marshal is the list of one credential. Both data fields are strings that hold JSON.
func marshal(rec keyfile.Record, label string) (json.RawMessage, error) {
	value, err := json.Marshal(map[string]string{"value": base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(rec.Key.Reveal())})
	if err != nil {
		return nil, err
	}
	about, err := json.Marshal(dataOf(rec))
	if err != nil {
		return nil, err
	}
	c := map[string]any{"type": otp, "userLabel": label, "secretData": string(value), "credentialData": string(about)}
	if !rec.Created.IsZero() {
		c["createdDate"] = rec.Created.UnixMilli()
	}
	return json.Marshal([]any{c})
}

// compare refuses a list that is not one credential like rec. The counter moves and is not compared.
func compare(rec keyfile.Record, list []credential) error {
	want := dataOf(rec)
	var got data
	if len(list) != 1 || json.Unmarshal([]byte(list[0].CredentialData), &got) != nil {
		return differs("userLabel")
	}
	switch {
	case got.SubType != want.SubType:
		return differs("subType")
	case got.Digits != want.Digits:
		return differs("digits")
	case got.Algorithm != want.Algorithm:
		return differs("algorithm")
	case got.SecretEncoding != want.SecretEncoding:
		return differs("secretEncoding")
	case got.Period != want.Period && rec.Kind == token.TOTP:
		return differs("period")
	}
	return nil
}

func differs(field string) error {
	return &push.RefusedError{Server: name, Field: field, Cause: "a credential of this label is there and differs; it was not changed"}
}
