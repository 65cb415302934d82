// Package vault is a file for the TOTP secrets engine of HashiCorp Vault and OpenBao: one JSON object a line, each the body
// of a request to totp/keys/<name>:
//
//	{"name":"TOTP00900004","key":"T6EBGKM2…","algorithm":"SHA256","digits":6,"period":30,"issuer":"Campus","account_name":"dave"}
//
// The engine then computes and checks codes under that name. Source: reference key-files.md §8.8.
package vault

import (
	"bytes"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/jsonline"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

// key is a line. Members that Vault has and we do not write (generate, exported, key_size, skew, qr_size, url) are refused
// when they are read: a key that Vault made itself is not in the file, and a url would say everything twice.
type key struct {
	Name      string `json:"name"`
	Key       string `json:"key"`
	Algorithm string `json:"algorithm"`
	Digits    int    `json:"digits"`
	Period    int64  `json:"period"`
	Issuer    string `json:"issuer,omitempty"`
	Account   string `json:"account_name,omitempty"`
}

// goodName is what Vault takes as the last part of a path: letters, digits, _ at both ends, - . @ between.
var goodName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.@-]*[A-Za-z0-9_])?$`)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "vault" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Append: appendLine}
}

func appendLine(dst []byte, rec keyfile.Record) []byte {
	return jsonline.Append(dst, key{Name: tokenname.Of(rec), Key: string(keyfile.AppendBase32(nil, rec.Key.Reveal())),
		Algorithm: strings.ToUpper(rec.Hash), Digits: rec.Digits, Period: int64(rec.Period / time.Second), Issuer: rec.Issuer, Account: rec.Owner})
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Issuer, out.Owner = rec.Issuer, rec.Owner
	tokenname.Set(&out, tokenname.Of(rec))
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"serial": "the file has one name for a token; a reader takes it for a label",
	"label":  "the key is called by the token's serial",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind != token.TOTP {
		return []keyfile.Loss{keyfile.Fatal("kind", "Vault's engine knows TOTP only: program a TOTP credential on the key, or check its OTPs with this server")}
	}
	out := keyfile.LossTOTP(rec)
	switch name := tokenname.Of(rec); {
	case name == "":
		out = append(out, keyfile.Fatal("serial", "unknown, and the token has no label either: the key needs a name"))
	case !goodName.MatchString(name) || len(name) > 255:
		out = append(out, keyfile.Fatal("label", "a key's name is letters, digits, _ and, inside, - . @"))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// Decode implements keyfile.Codec.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

func parse(row *keyfile.Row) (keyfile.Record, bool) {
	var k key
	if cause := jsonline.Parse(row.Text, &k); cause != "" {
		row.Bad(0, "line", cause)
		return keyfile.Record{}, false
	}
	rec := keyfile.Record{Kind: token.TOTP, Hash: strings.ToLower(k.Algorithm), Digits: k.Digits, Issuer: k.Issuer, Owner: k.Account,
		Period: time.Duration(k.Period) * time.Second}
	if k.Period < 1 || k.Period > int64(keyfile.MaxPeriod/time.Second) {
		row.Bad(0, "period", "not a number of seconds from 1 to a day")
	}
	if !slices.Contains(keyfile.Hashes(), rec.Hash) || k.Algorithm != strings.ToUpper(rec.Hash) {
		row.Bad(0, "algorithm", "not one of the three names that Vault has")
	}
	if k.Digits != 6 && k.Digits != 8 {
		row.Bad(0, "digits", "neither 6 nor 8")
	}
	if !goodName.MatchString(k.Name) || len(k.Name) > 255 {
		row.Bad(0, "name", "not a name that Vault takes")
	}
	for _, f := range []struct{ field, text string }{{"account_name", k.Account}, {"issuer", k.Issuer}} {
		if cause := keyfile.BadText(f.text); cause != "" {
			row.Bad(0, f.field, cause)
		}
	}
	if row.Ok() {
		tokenname.Set(&rec, k.Name)
		seed, cause := keyfile.ParseSeed([]byte(k.Key))
		if rec.Key = seed; cause != "" {
			row.Bad(0, "key", cause)
		}
	}
	return rec, true
}

// Detect implements keyfile.Codec: by the members of the first line.
func (Codec) Detect(head []byte) int {
	line, _, _ := bytes.Cut(keyfile.TrimBOM(head), []byte("\n"))
	if k := (key{}); jsonline.Parse(line, &k) == "" && k.Name != "" && k.Key != "" && k.Algorithm != "" {
		return 90
	}
	return 0
}
