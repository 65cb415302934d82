package ykval

import (
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Counters is one row about a key: what was spent of it, and no secret.
type Counters struct {
	Line     int
	Active   bool
	Modified time.Time // in whole seconds, UTC; zero: never
	PublicID token.PublicID
	Use      int // 15 bits; -1: never used
	Session  int // 8 bits; -1: never used
	// CapsFlag is bit 15 of the counter as it stands there: set by old keys with Caps Lock, and no part of it. Source: reference
	// validation-protocol.md §6.
	CapsFlag  bool
	Timestamp int    // 24 bits
	Nonce     string // of the last request
	Notes     string
}

// countersFormat is the name in errors.
const countersFormat = "yubikey-val counters"

// The columns, 1 the first.
const (
	colKeyActive = 1 + iota
	colKeyCreated
	colKeyModified
	colPublicID
	colUse
	colSession
	colLow
	colHigh
	colNonce
	colKeyNotes // may be missing
)

// maxNonce is the longest nonce. Source: reference validation-protocol.md §2.
const maxNonce = 40

// capsBit is no part of the counter.
const capsBit = 0x8000

// DecodeCounters reads counters one at a time in constant memory. A bad row is a *keyfile.RowError beside zero Counters, and reading
// goes on; any other error ends the sequence.
func DecodeCounters(r io.Reader) iter.Seq2[Counters, error] {
	return func(yield func(Counters, error) bool) {
		var c Counters
		for rec, err := range keyfile.DecodeLines(countersFormat, r, func(row *keyfile.Row) (keyfile.Record, bool) {
			found := false
			c, found = parseCounters(row)
			return keyfile.Record{}, found
		}) {
			if c.Line = rec.Line; err != nil {
				c = Counters{}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

func parseCounters(row *keyfile.Row) (c Counters, ok bool) {
	f, ok := split(row, colNonce, colKeyNotes, 0)
	if !ok || f == nil {
		return c, ok
	}
	number := func(column int, field string, most int64) int64 {
		n, err := strconv.ParseInt(f[column-1], 10, 64)
		if err != nil || n < -1 || n > most {
			row.Bad(column, field, "not a number from -1 to "+strconv.FormatInt(most, 10))
		}
		return n
	}
	c.Active = flag(row, colKeyActive, f[colKeyActive-1])
	number(colKeyCreated, "created", maxTime)
	if at := number(colKeyModified, "modified", maxTime); at >= 0 {
		c.Modified = time.Unix(at, 0).UTC()
	}
	var err error
	if c.PublicID, err = token.ParsePublicID(f[colPublicID-1]); err != nil {
		row.Bad(colPublicID, "public-id", err.Error())
	}
	c.Use, c.Session = int(number(colUse, "counter", 0xffff)), int(number(colSession, "use", 0xff))
	if c.Use < 0 != (c.Session < 0) {
		row.Bad(colSession, "use", "one of two counters is missing")
	}
	if c.Use >= 0 {
		c.Use, c.CapsFlag = c.Use&^capsBit, c.Use&capsBit != 0
	}
	low, high := number(colLow, "low", 0xffff), number(colHigh, "high", 0xff)
	c.Timestamp = int(max(high, 0)<<16 | max(low, 0))
	if c.Nonce = f[colNonce-1]; !isNonce(c.Nonce) {
		row.Bad(colNonce, "nonce", "not up to 40 letters and digits")
	}
	if len(f) >= colKeyNotes {
		c.Notes = f[colKeyNotes-1]
	}
	return c, true
}

// isNonce reports whether s has ASCII letters and digits only. A short one is not refused: the table has what a server once took.
func isNonce(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(s) <= maxNonce
}
