package appbackup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// text is a JSON string with a secret in it, kept out of Go's strings.
type text []byte

// UnmarshalJSON implements json.Unmarshaler. Anything but a string without escapes other than \/ is empty: no base32 has them.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = nil
	if len(b) >= 2 && b[0] == '"' {
		*t = bytes.ReplaceAll(b[1:len(b)-1], []byte(`\/`), []byte(`/`))
	}
	return nil
}

// account is an entry of a backup, before it is judged. Empty numbers are the defaults.
type account struct {
	kind, hash              string // the app's words
	issuer, name            string
	base32                  text         // or
	seed                    secret.Bytes // itself
	digits, period, counter json.Number

	rec         *keyfile.Record // an entry that is a whole otpauth URI, read already
	skip        bool            // no credential at all
	field, note string          // what is wrong already
}

// bad is an account with a problem that the app's reader found.
func bad(field, note string) account { return account{field: field, note: note} }

// unmarshal reads an entry into v; "" if it is one. The note repeats nothing of it.
func unmarshal(raw []byte, v any) (field, note string) {
	err := json.Unmarshal(raw, v)
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return "", ""
	case errors.As(err, &kind) && kind.Field != "": // the path of our own struct's names
		return strings.ToLower(kind.Field[strings.LastIndexByte(kind.Field, '.')+1:]), "not of the kind of value that belongs there"
	}
	return "entry", "not an entry"
}

// record judges the account and clears its secrets.
func (a account) record(format string, line, number int) (keyfile.Record, error) {
	rec, field, note := a.read()
	clear(a.base32)
	if note == "" {
		for _, l := range keyfile.Unsound(rec, token.HOTP, token.TOTP) {
			field, note = l.Field, l.Note
			break
		}
	}
	if note != "" {
		rec.Destroy()
		return keyfile.Record{}, &keyfile.RowError{Format: format, Line: line, Column: number, Field: field, Cause: note}
	}
	rec.Line = line
	return rec, nil
}

func (a account) read() (rec keyfile.Record, field, note string) {
	rec.Key = a.seed
	if a.note != "" {
		return rec, a.field, a.note
	}
	if a.rec != nil {
		return *a.rec, "", ""
	}
	if rec.Kind, note = otpauth.Kind(a.kind); note != "" {
		return rec, "type", note
	}
	if rec.Hash, note = otpauth.Hash(a.hash); note != "" {
		return rec, "hash", note
	}
	var digits, period int64
	for _, n := range []struct {
		field             string
		text              json.Number
		low, high, absent int64
		into              *int64
		used              bool
	}{
		{"digits", a.digits, 6, 8, 6, &digits, true},
		{"period", a.period, 1, otpauth.MaxPeriod, 30, &period, rec.Kind == token.TOTP},
		{"counter", a.counter, 0, keyfile.MaxCounter, 0, &rec.Counter, rec.Kind == token.HOTP},
	} {
		if !n.used {
			continue
		}
		if *n.into, note = integer(n.text, n.low, n.high, n.absent); note != "" {
			return rec, n.field, note
		}
	}
	rec.Digits, rec.Period = int(digits), time.Duration(period)*time.Second
	rec.Issuer, rec.Owner = strings.TrimSpace(a.issuer), strings.TrimSpace(a.name)
	if field, note = otpauth.BadName(rec); note != "" {
		return rec, field, note
	}
	if a.seed.Len() == 0 {
		var ok bool
		if rec.Key, ok = keyfile.ParseBase32(a.base32); !ok {
			return rec, "key", "not base32"
		}
	}
	return rec, "", ""
}

func integer(s json.Number, low, high, absent int64) (n int64, note string) {
	if s == "" {
		return absent, ""
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || n < low || n > high {
		return 0, fmt.Sprintf("not a number from %d to %d", low, high)
	}
	return n, ""
}
