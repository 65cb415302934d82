package ksm

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Checksum tells whether two key storage modules have the same keys: what ykksm-checksum prints. The zero value is ready. Source:
// reference validation-protocol.md §13.
type Checksum struct{ rows []sumRow }

// sumRow is cleared when it is used: it holds a key.
type sumRow struct {
	serial   token.Serial
	publicID string
	text     []byte // decimal serial, public ID, private ID, key
}

// checksumDigits is the length of a checksum in hexadecimal digits.
const checksumDigits = 10

// Add adds a record. It copies what it needs, some hundred bytes.
func (c *Checksum) Add(r keyfile.Record) {
	row := sumRow{serial: r.Serial, publicID: r.PublicID.String()}
	row.text = append(strconv.AppendUint(make([]byte, 0, 96), uint64(r.Serial), 10), row.publicID...)
	row.text = hex.AppendEncode(hex.AppendEncode(row.text, r.PrivateID.Reveal()), r.Key.Reveal())
	c.rows = append(c.rows, row)
}

// Sum is the first ten hexadecimal digits of SHA-1 over all rows, by serial and public ID. It forgets the rows.
func (c *Checksum) Sum() string {
	slices.SortStableFunc(c.rows, func(a, b sumRow) int {
		return cmp.Or(cmp.Compare(a.serial, b.serial), cmp.Compare(a.publicID, b.publicID))
	})
	h := sha1.New()
	for _, r := range c.rows {
		h.Write(r.text)
		clear(r.text)
	}
	c.rows = nil
	return hex.EncodeToString(h.Sum(nil))[:checksumDigits]
}
