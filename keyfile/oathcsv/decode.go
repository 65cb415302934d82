package oathcsv

import (
	"bytes"
	"io"
	"iter"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The columns of version 1, 1 the first; version 2 has three more in front.
const (
	colSerial = 1 + iota
	colKey
	colType
	colLength
	colExtra // moving factor or time step
	colHash  // LinOTP's; privacyIDEA ignores it
)

const userColumns = 3 // user, resolver, realm

// Decode implements keyfile.Codec. Lines that begin with # are passed over. Resolver and realm are not kept. A Yubico OTP
// row comes out without public and private ID.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		p := parser{}
		keyfile.DecodeLines(c.Name(), r, p.parse)(yield)
	}
}

// parser knows how many columns the file's version has in front.
type parser struct{ shift int }

func (p *parser) parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if row.Text[0] == '#' {
		if row.Line == 1 && isVersion2(row.Text) {
			p.shift = userColumns
		}
		return rec, false
	}
	row.Split()
	p.name(row, &rec)
	switch strings.ToLower(row.Public(p.shift + colType)) {
	case "hotp", "hmac", "":
		rec.Kind = token.HOTP
		rec.Counter = row.Counter(p.shift + colExtra)
		p.seed(row, &rec)
	case "totp":
		rec.Kind = token.TOTP
		rec.Period = row.Period(p.shift + colExtra)
		p.seed(row, &rec)
	case "yubikey":
		rec.Kind = token.YubicoOTP
		row.OTPLength(p.shift + colLength)
		rec.Key = row.Hex(p.shift+colKey, "key", keyfile.KeySize)
	default:
		row.Bad(p.shift+colType, "type", "not hotp, totp or yubikey")
	}
	if !tokenname.SetSerial(&rec, row.Public(p.shift+colSerial)) {
		row.Bad(p.shift+colSerial, "serial", tokenname.BadSerial)
	}
	return rec, true
}

// name reads the columns that say whose token it is.
func (p *parser) name(row *keyfile.Row, rec *keyfile.Record) {
	if row.Len() < p.shift+colKey {
		row.Bad(row.Len(), "row", "too few fields")
	}
	for i := 1; i <= p.shift; i++ {
		if cause := keyfile.BadName(row.Public(i)); cause != "" {
			row.Bad(i, []string{"owner", "resolver", "realm"}[i-1], "not a name: "+cause)
		}
	}
	if p.shift > 0 {
		rec.Owner = row.Public(1)
	}
	if len(row.Bytes(p.shift+colHash)) > 0 {
		row.Bad(p.shift+colHash, "hash", "a sixth column is LinOTP's name for the hash, which privacyIDEA ignores: it is not read")
	}
}

// seed reads what HOTP and TOTP have in common.
func (p *parser) seed(row *keyfile.Row, rec *keyfile.Record) {
	rec.Digits = row.Digits(p.shift + colLength)
	rec.Key = row.Seed(p.shift+colKey, "key")
	rec.Hash = hashByKey(rec.Key.Len())
	if row.Ok() && (rec.Hash == "sha224" || rec.Hash == "sha384") {
		row.Bad(p.shift+colKey, "key", "a key of this length means "+rec.Hash+", which is not supported")
	}
}

func isVersion2(line []byte) bool { return string(bytes.TrimSpace(line)) == version2 }

// Detect implements keyfile.Codec: version 2 is certain, version 1 is told by the first row.
func (Codec) Detect(head []byte) int {
	if first, _, _ := bytes.Cut(keyfile.TrimBOM(head), []byte("\n")); isVersion2(first) {
		return 100
	}
	f := bytes.Split(keyfile.FirstRow(head), []byte(","))
	if len(f) < colType || len(f) > colHash {
		return 0
	}
	switch strings.ToLower(string(bytes.TrimSpace(f[colType-1]))) {
	case "hotp", "hmac", "totp", "yubikey":
		return 80
	}
	return 0
}
