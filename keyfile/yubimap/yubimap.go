// Package yubimap is the mapping of pam_yubico, its authfile= or ~/.yubico/authorized_yubikeys: who may log in with which
// public IDs.
//
//	alice:vvccccknlfut:cbcdcecfcgch
//
// It holds no secret: the keys are on the validation server. The module reads a line into 1024 bytes, compares the first 12
// characters of an OTP exactly, and keeps a CR as part of the last public ID; an account may have several lines.
// Source: reference key-files.md §7.7, §0 fact 11.
package yubimap

import (
	"bytes"
	"io"
	"iter"
	"strings"
	"unicode"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

const (
	// maxLine is the longest line without its LF, in bytes: fgets reads 1023 characters with it.
	maxLine = 1022
	// publicIDSize is the module's token_id_length of 12 characters, in bytes.
	publicIDSize = 6
)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "pam-yubico" }

// NewEncoder implements keyfile.Codec. Records of one account that follow each other share lines.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	e := &encoder{}
	e.RowEncoder = keyfile.RowEncoder{Codec: c, W: w, Append: e.appendID}
	return e
}

// encoder leaves the last line open for another public ID of its account.
type encoder struct {
	keyfile.RowEncoder
	owner string // of the open line; "" when none is
	size  int    // of the open line, in bytes
}

func (e *encoder) appendID(dst []byte, rec keyfile.Record) []byte {
	id := ":" + rec.PublicID.String()
	if rec.Owner != e.owner || e.size+len(id) > maxLine {
		dst = append(dst, e.Foot...)
		dst = append(dst, rec.Owner...)
		e.owner, e.size, e.Foot = rec.Owner, len(rec.Owner), "\n"
	}
	e.size += len(id)
	return append(dst, id...)
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	return keyfile.Record{Kind: rec.Kind, PublicID: rec.PublicID, Owner: rec.Owner}
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"key":         "the mapping holds no secret: the validation server that the module asks has it",
	"private-id":  "the mapping holds no secret: the validation server that the module asks has it",
	"access-code": "the mapping holds no secret",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) (out []keyfile.Loss) {
	if rec.Kind != token.YubicoOTP {
		out = append(out, keyfile.Fatal("kind", "the mapping knows Yubico OTPs only: use pam-oath or google-authenticator"))
	} else if rec.PublicID.Len() != publicIDSize {
		out = append(out, keyfile.Fatal("public-id", "the module compares 12 characters, and this public ID has another length"))
	}
	if cause := badOwner(rec.Owner); cause != "" {
		out = append(out, keyfile.Fatal("owner", cause))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// badOwner says why an account cannot stand in the file; "" when it can.
func badOwner(s string) string {
	switch {
	case s == "":
		return "unknown, and the mapping is from accounts to public IDs"
	case strings.Contains(s, ":"):
		return "a colon ends the account"
	case strings.ContainsFunc(s, unicode.IsSpace):
		return "an account has no blanks: the module does not strip them"
	}
	if cause := keyfile.BadName(s); cause != "" {
		return "cannot stand in the file: " + cause
	}
	return ""
}

// Decode implements keyfile.Codec: a record for each public ID, without a key. Lines that begin with # are passed over. One
// bad public ID is an error for its line.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		p := parser{}
		for rec, err := range keyfile.DecodeLines(c.Name(), r, p.parse) {
			if !yield(rec, err) {
				return
			}
			if err != nil {
				continue
			}
			for _, rec.PublicID = range p.more {
				if !yield(rec, nil) {
					return
				}
			}
		}
	}
}

// parser keeps the public IDs of a line behind the first.
type parser struct{ more []token.PublicID }

func (p *parser) parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	p.more = p.more[:0]
	if row.Text[0] == '#' {
		return rec, false
	}
	if len(row.Text) > maxLine {
		row.Bad(0, "line", "longer than 1022 bytes: the module cuts it, and a public ID with it")
	}
	if bytes.IndexByte(row.Text, ',') >= 0 {
		row.Bad(0, "line", "a comma, which neither an account nor a public ID has")
	}
	row.SplitAt(":")
	rec.Kind, rec.Owner = token.YubicoOTP, row.Public(1)
	if cause := badOwner(rec.Owner); cause != "" {
		row.Bad(1, "owner", cause)
	}
	for i := 2; i <= row.Len(); i++ {
		id := row.PublicID(i)
		switch {
		case id.Len() == 0: // the module passes over "::"
		case rec.PublicID.Len() == 0:
			rec.PublicID = id
		default:
			p.more = append(p.more, id)
		}
	}
	if rec.PublicID.Len() == 0 {
		row.Bad(2, "public-id", "none")
	}
	return rec, true
}

// Detect implements keyfile.Codec: the first row is an account and public IDs of 12 characters.
func (Codec) Detect(head []byte) int {
	account, ids, _ := strings.Cut(string(keyfile.FirstRow(head)), ":")
	id, _, _ := strings.Cut(ids, ":")
	if p, err := token.ParsePublicID(id); err != nil || p.Len() != publicIDSize || badOwner(account) != "" {
		return 0
	}
	return 80
}
