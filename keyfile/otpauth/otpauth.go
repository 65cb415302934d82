// Package otpauth is the URI that authenticator apps read, mostly out of a QR code,
//
//	otpauth://totp/Issuer:account?secret=BASE32&issuer=Issuer&algorithm=SHA256&digits=6&period=30
//
// one at a time (Parse, Format), and as a file of one URI a line (Codec). Writing is strict, because readers are: base32 in
// upper case without padding, %20 for a blank, the issuer in both places, every parameter and no other. Reading is tolerant.
// The account is the record's own, else its owner; hardware without one is written under its serial or label. The words of app files
// in general (Kind, Hash, Seed, SplitLabel, Losses) are here too. Source: reference key-files.md §8.5.
package otpauth

import (
	"io"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is a list of URIs, one a line, UTF-8; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

// Name implements keyfile.Codec.
func (Codec) Name() string { return "otpauth" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Append: func(dst []byte, rec keyfile.Record) []byte {
		return append(appendURI(dst, rec), '\n')
	}}
}

// maxURI is room for any URI that is not refused, in bytes: two names of 255 bytes, each byte escaped, the issuer twice.
const maxURI = 3*3*255 + 512

// Format is the URI of one record, for a QR code. It refuses, with a *keyfile.LossError, what Codec refuses. The caller
// destroys the result.
func Format(rec keyfile.Record) (secret.Bytes, error) {
	c := Codec{}
	if err := keyfile.Refused(c.Name(), rec, c.Loss(rec)); err != nil {
		return secret.Bytes{}, err
	}
	return secret.New(appendURI(make([]byte, 0, maxURI), rec)), nil
}

func appendURI(dst []byte, rec keyfile.Record) []byte {
	dst = append(dst, "otpauth://"...)
	dst = append(dst, rec.Kind...)
	dst = append(dst, '/')
	if rec.Issuer != "" {
		dst = append(dst, escape(rec.Issuer)...)
		dst = append(dst, ':')
	}
	dst = append(dst, escape(Account(rec))...)
	dst = append(dst, "?secret="...)
	dst = keyfile.AppendBase32(dst, rec.Key.Reveal())
	if rec.Issuer != "" {
		dst = append(dst, "&issuer="...)
		dst = append(dst, escape(rec.Issuer)...)
	}
	dst = append(dst, "&algorithm="...)
	dst = append(dst, strings.ToUpper(rec.Hash)...)
	dst = append(dst, "&digits="...)
	dst = strconv.AppendInt(dst, int64(rec.Digits), 10)
	if rec.Kind == token.HOTP {
		dst = append(dst, "&counter="...)
		return strconv.AppendInt(dst, rec.Counter, 10)
	}
	dst = append(dst, "&period="...)
	return strconv.AppendInt(dst, int64(rec.Period/time.Second), 10)
}

// escape writes every byte but letters, digits and - . _ ~ as %XX: readers disagree about what + and the rest mean.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Account is the name under which an app shows rec beside the issuer: its own, else its owner, its serial or label; "" if it has none.
func Account(rec keyfile.Record) string {
	for _, s := range []string{rec.Account, rec.Owner, rec.Serial.String(), rec.Label} {
		if s != "" {
			return s
		}
	}
	return ""
}

// Carried implements keyfile.Codec. It is the same for every file of an app.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Issuer, out.Owner = rec.Issuer, Account(rec)
	return out
}

// notes is what the loss of a field means in an app.
var notes = map[string]string{
	"serial":  "an app has no place for it",
	"label":   "an app has no place for it",
	"owner":   "none: the app shows the serial or label as the account",
	"account": "it stands where a server that reads the file looks for the holder",
}

// Losses is what any app's file loses of rec: unsound secrets and names, and the fields that no app has.
func Losses(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.HOTP, token.TOTP)
	if Account(rec) == "" {
		out = append(out, keyfile.Fatal("owner", "neither an owner nor a label: an app could not show whose codes these are"))
	}
	if field, cause := BadName(Codec{}.Carried(rec)); cause != "" {
		out = append(out, keyfile.Fatal(field, cause))
	}
	if rec.Issuer == "" {
		out = append(out, keyfile.Loss{Field: "issuer", Note: "none: the app shows the account alone"})
	}
	told := notes
	if rec.Account != "" {
		told = maps.Clone(notes)
		told["owner"] = "the app shows the account's own name, not who holds it"
	}
	return append(out, keyfile.Notes(rec, Codec{}.Carried(rec), told)...)
}

// minAppSeed is the shortest seed that FreeOTP takes without a warning, in bytes. Source: reference key-files.md §8.5.
const minAppSeed = 16

// Loss implements keyfile.Codec.
func (Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := Losses(rec)
	out = append(out, Colons(rec)...)
	const some = "some apps (Google Authenticator on some phones) ignore it: use FreeOTP, Aegis, 2FAS or Yubico Authenticator"
	for _, f := range []struct {
		field string
		odd   bool
		note  string
	}{
		{"hash", rec.Hash != "sha1", some},
		{"digits", rec.Digits != 6, some},
		{"period", rec.Kind == token.TOTP && rec.Period != 30*time.Second, some},
		{"key", rec.Key.Len() < minAppSeed, "shorter than 16 bytes: FreeOTP warns of it"},
	} {
		if f.odd {
			out = append(out, keyfile.Loss{Field: f.field, Note: f.note})
		}
	}
	return out
}

// Colons refuses names with a colon: it separates issuer and account, and readers disagree about a second one.
func Colons(rec keyfile.Record) (out []keyfile.Loss) {
	account := "owner"
	if rec.Account != "" {
		account = "account"
	}
	for _, f := range []struct{ field, text string }{{"issuer", rec.Issuer}, {account, Account(rec)}} {
		if strings.Contains(f.text, ":") {
			out = append(out, keyfile.Fatal(f.field, "a colon separates issuer and account, and a second one is misread: give a name without"))
		}
	}
	return out
}
