// Package entra is the CSV of OATH hardware tokens that Microsoft Entra takes, which token vendors hand out and HelloID and
// Deepnet's help desk read too:
//
//	upn,serial number,secret key,time interval,manufacturer,model
//	carol@example.org,TOTP00900003,CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI,30,Hardware,OATH
//
// The header is mandatory. Secrets are base32; tokens are TOTP with SHA-1, 6 digits and 30 or 60 seconds, and nothing in the
// file could say otherwise. Vendors leave the person empty, re-order columns and, with a spreadsheet, write quotes, semicolons
// and tabs: all of it is read. Source: reference key-files.md §8.9, §9, §0 fact 9; from Microsoft's documents, not tried.
package entra

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tablecsv"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format.
type Codec struct {
	// Domain is added to accounts without one, because Entra goes by user principal names: ada and example.org make
	// ada@example.org. Such an account is refused where Domain is empty.
	Domain string
}

var _ keyfile.Codec = Codec{}

const header = "upn,serial number,secret key,time interval,manufacturer,model"

// The columns of a file of ours, as indexes into strings.Split(header).
const (
	upn = iota
	serial
	key
	interval
	manufacturer
	model
	columns
)

// maxSecret is the longest secret, in base32 characters. Source: reference key-files.md §8.9.
const maxSecret = 128

// Name implements keyfile.Codec.
func (Codec) Name() string { return "entra" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Head: header + "\n", Append: c.appendRow}
}

func (c Codec) appendRow(dst []byte, rec keyfile.Record) []byte {
	dst = append(dst, c.upn(rec)+","+tokenname.Of(rec)+","...)
	dst = keyfile.AppendBase32(dst, rec.Key.Reveal())
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, int64(rec.Period/time.Second), 10)
	if rec.Serial != 0 {
		return append(dst, ",Yubico,YubiKey\n"...)
	}
	return append(dst, ",Hardware,OATH\n"...)
}

func (c Codec) upn(rec keyfile.Record) string {
	if rec.Owner == "" || c.Domain == "" || strings.Contains(rec.Owner, "@") {
		return rec.Owner
	}
	return rec.Owner + "@" + c.Domain
}

// Carried implements keyfile.Codec.
func (c Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := keyfile.Record{Kind: token.TOTP, Key: rec.Key, Digits: 6, Hash: "sha1", Period: rec.Period, Owner: c.upn(rec)}
	tokenname.Set(&out, tokenname.Of(rec))
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"owner":  "written as the user principal name",
	"serial": "the file has one name for a token; a reader takes it for a label",
	"label":  "the file names the token by its serial",
}

const instead = "; Entra's API for hardware OATH tokens (hardwareOathDevices) may take it"

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind != token.TOTP {
		return []keyfile.Loss{keyfile.Fatal("kind", "Entra takes TOTP only: program a TOTP credential, or use FIDO2 with this key")}
	}
	out := keyfile.Unsound(rec, token.TOTP)
	if rec.Hash != "sha1" {
		out = append(out, keyfile.Fatal("hash", "this file means sha1"+instead))
	}
	if rec.Digits != 6 {
		out = append(out, keyfile.Fatal("digits", "this file means 6 digits"+instead))
	}
	if rec.Period != 30*time.Second && rec.Period != time.Minute {
		out = append(out, keyfile.Fatal("period", "Entra takes 30 or 60 seconds"))
	}
	if rec.Key.Len() < keyfile.MinSeedSize {
		out = append(out, keyfile.Fatal("key", "shorter than readers take"))
	}
	if field, cause := tablecsv.BadTokenName(rec, ","); cause != "" {
		out = append(out, keyfile.Fatal(field, cause))
	}
	if field, cause := tablecsv.BadOwner(keyfile.Record{Owner: c.upn(rec)}, ","); cause != "" {
		out = append(out, keyfile.Fatal(field, cause))
	} else if name, domain, ok := strings.Cut(c.upn(rec), "@"); !ok || name == "" || domain == "" {
		out = append(out, keyfile.Fatal("owner", "not a user principal name such as ada@example.org: name the domain"))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// What ends the reading of a file.
var (
	ErrHeader = errors.New("the first line is no header with the columns serial number and secret key")
	ErrColumn = errors.New("the header names a column that this format does not have, or one twice")
)

// Decode implements keyfile.Codec. Columns are found by the header, in any order; upn, time interval (30), manufacturer and
// model may be missing. It reads quotes as CSV has them, and semicolons or tabs for commas.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		p := parser{}
		keyfile.DecodeLines(c.Name(), r, p.parse)(yield)
	}
}

// parser knows where the file has which column, 1 the first, 0 for none; sep is 0 before the header.
type parser struct {
	sep byte
	at  [columns]int
}

func (p *parser) parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if p.sep == 0 {
		if err := p.head(row.Text); err != nil {
			row.Stop(err)
		}
		return rec, false
	}
	fields, good := split(row.Text, p.sep)
	if !good {
		row.Bad(0, "quotes", "a quote that is not closed, or text behind one")
		return rec, false
	}
	if len(fields) <= p.at[serial]-1 || len(fields) <= p.at[key]-1 {
		row.Bad(len(fields), "row", "fewer fields than the header")
		return rec, false
	}
	for _, i := range []int{p.at[manufacturer], p.at[model]} { // nothing of them is kept, and makers' names hold commas
		if 0 < i && i <= len(fields) {
			fields[i-1] = nil
		}
	}
	for i, f := range fields {
		if bytes.ContainsAny(f, `,"`) {
			row.Bad(i+1, "quotes", "a comma or a quote inside the value")
		}
	}
	text := bytes.Join(fields, []byte(","))
	defer clear(text)
	row.Text = text
	row.Split()
	return p.record(row), true
}

// record reads the fields, which stand in row as in the file.
func (p *parser) record(row *keyfile.Row) keyfile.Record {
	rec := keyfile.Record{Kind: token.TOTP, Digits: 6, Hash: "sha1", Period: 30 * time.Second}
	tablecsv.TakeName(row, p.at[serial], &rec)
	if n := len(row.Bytes(p.at[key])); n > maxSecret {
		row.Bad(p.at[key], "key", "longer than 128 characters")
	}
	rec.Key = row.Base32(p.at[key], "key")
	if i := p.at[upn]; i > 0 && len(row.Bytes(i)) > 0 {
		tablecsv.TakeOwner(row, i, &rec)
	}
	if i := p.at[interval]; i > 0 {
		seconds := row.Int(i, "period", 30, 60, 30)
		if row.Ok() && seconds != 30 && seconds != 60 {
			row.Bad(i, "period", "neither 30 nor 60")
		}
		rec.Period = time.Duration(seconds) * time.Second
	}
	return rec
}

// head reads the header.
func (p *parser) head(line []byte) error {
	for _, sep := range []byte(",;\t") {
		fields, ok := split(line, sep)
		if !ok || len(fields) < 2 {
			continue
		}
		var at [columns]int
		for i, f := range fields {
			name := strings.ToLower(string(f))
			n := column(name)
			if name == "" {
				continue
			}
			if n < 0 || at[n] > 0 {
				return ErrColumn
			}
			at[n] = i + 1
		}
		if at[serial] > 0 && at[key] > 0 {
			p.sep, p.at = sep, at
			return nil
		}
	}
	return ErrHeader
}

// column is the index of a column's name, -1 for none.
func column(name string) int {
	for i, n := range strings.Split(header, ",") {
		if n == name {
			return i
		}
	}
	return -1
}

// split cuts a line at sep, strips blanks, and takes the quotes off by the rules of CSV: RFC 4180 §2. Quotes inside a value
// stay doubled: no value that is kept has them. The fields are parts of line.
func split(line []byte, sep byte) (fields [][]byte, ok bool) {
	for {
		line = bytes.TrimLeft(line, " ")
		if len(line) == 0 || line[0] != '"' {
			i := bytes.IndexByte(line, sep)
			if i < 0 {
				return append(fields, bytes.TrimSpace(line)), true
			}
			fields, line = append(fields, bytes.TrimSpace(line[:i])), line[i+1:]
			continue
		}
		end := 1
		for end < len(line) && (line[end] != '"' || end+1 < len(line) && line[end+1] == '"') {
			if line[end] == '"' {
				end++
			}
			end++
		}
		if end >= len(line) {
			return nil, false
		}
		fields, line = append(fields, bytes.TrimSpace(line[1:end])), bytes.TrimLeft(line[end+1:], " ")
		if len(line) == 0 {
			return fields, true
		}
		if line[0] != sep {
			return nil, false
		}
		line = line[1:]
	}
}

// Detect implements keyfile.Codec: by the header.
func (Codec) Detect(head []byte) int {
	line, _, _ := bytes.Cut(keyfile.TrimBOM(head), []byte("\n"))
	var p parser
	switch err := p.head(bytes.TrimSuffix(line, []byte("\r"))); {
	case err == nil && p.at[interval] > 0:
		return 95
	case err == nil:
		return 50 // a table of any vendor's could begin so
	}
	return 0
}
