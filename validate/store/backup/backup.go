// Package backup is the form in which a store travels as a whole: into an encrypted file, out of it, and from one database into
// another. It is a stream of rows that no kind of database is named in; what the tables are is the store's matter.
//
//	magic    "tokendesk backup 1\n"
//	frames   length of the rest as uvarint, kind 1 byte, body
//
// The first frame is the header ('h', JSON). Then come tables, each a 't' (JSON: name and columns), its rows 'r', and 'e'
// (number of rows as uvarint, digest [32]). The last frame is 'z': number of rows in all as uvarint, SHA-256 of everything before this
// frame [32], Ed25519 signature of that [64]; nothing follows.
//
// A row holds its values in the order of the columns: 0 for NULL, 1 and a zig-zag varint for a number, 2 for text or 3 for bytes with
// the length as uvarint in front.
//
// A Reader yields rows before the end was seen: whoever stores them commits after Read returned io.EOF, which says that the sums and
// the signature are right.
package backup

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

const (
	magic = "tokendesk backup 1\n"
	// domain and the sum are what is signed.
	domain = "tokendesk backup signature 1"

	kindHeader = 'h'
	kindTable  = 't'
	kindRow    = 'r'
	kindEnd    = 'e'
	kindLast   = 'z'

	maxFrame   = 64 << 20 // bytes; the longest row is an audit event or a diagnosis
	maxColumns = 256
)

// The errors of a Reader.
var (
	ErrFormat    = errors.New("not a backup of tokendesk, or a damaged one")
	ErrSignature = errors.New("the backup was not signed by this signing key")
	ErrNewer     = errors.New("the backup was made by a newer tokendesk")
)

// Header is what a backup says of itself.
type Header struct {
	Store    string           `json:"store"`        // hexadecimal
	Schema   int              `json:"schema"`       // number of its migrations
	Sum      string           `json:"sum"`          // of their text, SHA-256 in hexadecimal
	At       time.Time        `json:"at"`           // when the state was read
	Epoch    int64            `json:"epoch"`        // how often the store had been put back
	Database string           `json:"database"`     // "sqlite", "postgres"
	Desk     audit.Mark       `json:"desk"`         // end of the desk chain in it; all ends are among its rows, each signed
	Keys     []uint32         `json:"key_versions"` // of the sealing key, that open its rows
	Last     map[string]int64 `json:"last_numbers"` // highest id that each table ever gave
	Rows     int64            `json:"rows"`         // as counted before
}

// Table begins the rows of one table.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// Value is int64, string, []byte or nil.
type Value any

// Digest is the sum of a table's rows, whatever their order: each row's SHA-256 as four numbers of 64 bits, added up.
type Digest struct {
	Rows int64
	sum  [4]uint64
}

func (d *Digest) add(row []byte) {
	h := sha256.Sum256(row)
	for i := range d.sum {
		d.sum[i] += binary.BigEndian.Uint64(h[8*i:])
	}
	d.Rows++
}

// Sum is the 32 bytes.
func (d *Digest) Sum() [32]byte {
	var out [32]byte
	for i, n := range d.sum {
		binary.BigEndian.PutUint64(out[8*i:], n)
	}
	return out
}

// Add counts a row in.
func (d *Digest) Add(row []Value) error {
	text, err := appendRow(nil, row)
	if err == nil {
		d.add(text)
	}
	return err
}

// appendRow is the body of a row.
func appendRow(out []byte, row []Value) ([]byte, error) {
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			out = append(out, 0)
		case int64:
			out = binary.AppendVarint(append(out, 1), v)
		case string:
			out = append(binary.AppendUvarint(append(out, 2), uint64(len(v))), v...)
		case []byte:
			out = append(binary.AppendUvarint(append(out, 3), uint64(len(v))), v...)
		default:
			return nil, fmt.Errorf("a value of type %T has no place in a backup", v)
		}
	}
	return out, nil
}

// parseRow reads n values; they share no memory with body.
func parseRow(body []byte, n int) ([]Value, error) {
	row := make([]Value, n)
	for i := range row {
		if len(body) == 0 {
			return nil, ErrFormat
		}
		tag := body[0]
		body = body[1:]
		switch tag {
		case 0:
		case 1:
			v, used := binary.Varint(body)
			if used <= 0 || used != len(binary.AppendVarint(nil, v)) {
				return nil, ErrFormat
			}
			row[i], body = v, body[used:]
		case 2, 3:
			long, used := uvarint(body)
			if used == 0 || long > uint64(len(body)-used) {
				return nil, ErrFormat
			}
			text := body[used : used+int(long)]
			if row[i] = string(text); tag == 3 {
				row[i] = append(make([]byte, 0, len(text)), text...)
			}
			body = body[used+int(long):]
		default:
			return nil, ErrFormat
		}
	}
	if len(body) > 0 {
		return nil, ErrFormat
	}
	return row, nil
}

// uvarint is the number at the beginning of b and how many bytes it takes, 0 if there is none in its shortest form.
func uvarint(b []byte) (uint64, int) {
	v, used := binary.Uvarint(b)
	if used <= 0 || used != len(binary.AppendUvarint(nil, v)) {
		return 0, 0
	}
	return v, used
}

// signed is what a signature covers.
func signed(sum []byte) []byte { return append([]byte(domain), sum...) }

// Signer is a signing key.
type Signer interface{ Sign(message []byte) []byte }

// trailer is the body of the last frame.
type trailer struct {
	rows      int64
	sum       [sha256.Size]byte
	signature [ed25519.SignatureSize]byte
}

func (t trailer) body() []byte {
	return append(append(binary.AppendUvarint(nil, uint64(t.rows)), t.sum[:]...), t.signature[:]...)
}

func parseTrailer(body []byte) (t trailer, err error) {
	rows, used := uvarint(body)
	if used == 0 || len(body) != used+len(t.sum)+len(t.signature) {
		return t, ErrFormat
	}
	t.rows = int64(rows)
	copy(t.sum[:], body[used:])
	copy(t.signature[:], body[used+len(t.sum):])
	return t, nil
}
