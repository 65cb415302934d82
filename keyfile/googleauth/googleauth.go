// Package googleauth is the file ~/.google_authenticator, from which pam_google_authenticator checks one account's codes:
//
//	CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI
//	" RATE_LIMIT 3 30
//	" WINDOW_SIZE 3
//	" DISALLOW_REUSE
//	" TOTP_AUTH
//
// The secret in base32 without padding, then options behind a quote and a blank, then recovery codes of eight digits. SHA-1 and
// six digits are compiled into the module. One file holds one credential and does not say whose it is: its place does.
// HOTP_COUNTER is the next expected counter and cannot be 0, which switches HOTP off.
// Source: reference key-files.md §8.2, §0 fact 6.
package googleauth

import (
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

// What the module can do. Source: reference key-files.md §8.2.
const (
	digits        = 6
	hash          = "sha1"
	defaultPeriod = 30 * time.Second // without STEP_SIZE
	maxPeriod     = 60 * time.Second
	maxFile       = 64 << 10 // bytes: it refuses more, and so does Decode
)

// What is written in front of the mode: the answers that the program google-authenticator suggests. An HOTP token gets the
// larger window of its two, because presses and failed logins move it away from the file.
const (
	totpHead = "\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n"
	hotpHead = "\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 17\n"
)

// ErrEmpty is a file without a secret, with which every login fails.
var ErrEmpty = errors.New("google-authenticator: the file holds no secret")

// ErrTooLarge is a file that the module would not read.
var ErrTooLarge = errors.New("google-authenticator: the file is larger than 64 KiB")

// Name implements keyfile.Codec.
func (Codec) Name() string { return "google-authenticator" }

// PerOwner reports that a file holds one credential of one account: who exports writes a file for each.
func (Codec) PerOwner() bool { return true }

// NewEncoder implements keyfile.Codec. A second record is refused with a *keyfile.LossError; Close without a record is
// ErrEmpty.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &encoder{keyfile.RowEncoder{Codec: c, W: w, Append: appendFile}}
}

type encoder struct{ keyfile.RowEncoder }

// Encode implements keyfile.Encoder.
func (e *encoder) Encode(rec keyfile.Record) error {
	if e.Begun() {
		return keyfile.Refused(e.Codec.Name(), rec, []keyfile.Loss{keyfile.Fatal("owner",
			"the file has its one credential already: write one file for each account, with one token")})
	}
	return e.RowEncoder.Encode(rec)
}

// Close implements keyfile.Encoder.
func (e *encoder) Close() error {
	if !e.Begun() {
		return ErrEmpty
	}
	return e.RowEncoder.Close()
}

func appendFile(dst []byte, rec keyfile.Record) []byte {
	dst = keyfile.AppendBase32(dst, rec.Key.Reveal())
	dst = append(dst, '\n')
	if rec.Kind == token.HOTP {
		dst = append(dst, hotpHead+"\" HOTP_COUNTER "...)
		return append(strconv.AppendInt(dst, firstCounter(rec), 10), '\n')
	}
	dst = append(dst, totpHead...)
	if rec.Period != defaultPeriod {
		dst = append(dst, "\" STEP_SIZE "...)
		dst = append(strconv.AppendInt(dst, int64(rec.Period/time.Second), 10), '\n')
	}
	return append(dst, "\" TOTP_AUTH\n"...)
}

// firstCounter is the counter that stands in the file: 1 at least.
func firstCounter(rec keyfile.Record) int64 { return max(1, rec.Counter) }

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := keyfile.Record{Kind: rec.Kind, Key: rec.Key, Digits: digits, Hash: hash, Period: rec.Period}
	if rec.Kind == token.HOTP {
		out.Period, out.Counter = 0, firstCounter(rec)
	}
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"counter": "0 would switch HOTP off, so 1 is written: throw the token's first code away before the first login; " +
		"after k failed logins throw k+1 codes away",
	"owner":  "the file does not name it: put it into that account's home directory, owned by it, mode 0600",
	"serial": "the file does not name the token",
	"label":  "the file does not name the token",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.HOTP, token.TOTP)
	if rec.Kind != token.HOTP && rec.Kind != token.TOTP {
		return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
	}
	if rec.Hash != hash {
		out = append(out, keyfile.Fatal("hash", "the module computes SHA-1 only: check this token on a server (pskc, keycloak), or give out one with SHA-1"))
	}
	if rec.Digits != digits {
		out = append(out, keyfile.Fatal("digits", "the module takes 6 digits only: use users.oath (pam-oath) for 7 or 8"))
	}
	if rec.Kind == token.TOTP && rec.Period > maxPeriod {
		out = append(out, keyfile.Fatal("period", "the module takes 60 seconds at most"))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}
