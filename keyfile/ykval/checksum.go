package ykval

import (
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
)

// Checksums tell whether two servers know the same: what ykval-checksum-clients and ykval-checksum-deactivated print. The zero value is
// ready. Source: reference validation-protocol.md §13.
type Checksums struct {
	clients     []clientLine
	deactivated []keyLine
}

// clientLine is cleared when it is used: it holds a key.
type clientLine struct {
	id   int64
	text []byte
}

type keyLine struct{ publicID, line string }

// digits is the length of a checksum in hexadecimal digits.
const digits = 10

// Client adds a client.
func (s *Checksums) Client(c Client) {
	text := strconv.AppendInt(nil, c.ID, 10)
	text = append(text, '\t', '0', '\t')
	if c.Active {
		text[len(text)-2] = '1'
	}
	text = base64.StdEncoding.AppendEncode(text, c.Key.Reveal())
	s.clients = append(s.clients, clientLine{id: c.ID, text: append(text, '\n')})
}

// Key adds the counters of a key.
func (s *Checksums) Key(c Counters) {
	if c.Active {
		return
	}
	use := c.Use
	if c.CapsFlag {
		use |= capsBit
	}
	line := c.PublicID.String() + "\t" + strconv.Itoa(use) + "\t" + strconv.Itoa(c.Session) + "\n"
	s.deactivated = append(s.deactivated, keyLine{c.PublicID.String(), line})
}

// Clients is ykval-checksum-clients: the first ten hexadecimal digits of SHA-1 over number TAB active TAB key LF by number. It forgets
// the clients.
func (s *Checksums) Clients() string {
	slices.SortStableFunc(s.clients, func(a, b clientLine) int { return cmp.Compare(a.id, b.id) })
	h := sha1.New()
	for _, c := range s.clients {
		h.Write(c.text)
		clear(c.text)
	}
	s.clients = nil
	return short(h)
}

// Deactivated is ykval-checksum-deactivated: the same over public ID TAB counter TAB use LF of inactive keys, by public ID.
func (s *Checksums) Deactivated() string {
	slices.SortStableFunc(s.deactivated, func(a, b keyLine) int { return cmp.Compare(a.publicID, b.publicID) })
	h := sha1.New()
	for _, k := range s.deactivated {
		h.Write([]byte(k.line))
	}
	return short(h)
}

func short(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil))[:digits] }
