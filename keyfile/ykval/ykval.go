// Package ykval is what yubikey-val knows, as its tools write it: clients, the relying servers, by ykval-export-clients, and the
// counters of keys by ykval-export.
//
//	1,1,1359550387,Zm9vYmFyZm9vYmFyZm9vYmFyMTI=,user@example.com,,cccccccccccbubfncnklbknnkrfvfkbubftlfliikdrt
//
// A client: number, active, time of creation in Unix seconds, API key in base64, address, notes, the OTP that the client was asked for
// with.
//
//	1,1359470658,1359470658,cccccccccccb,2,1,32729,4,aoincuhfuahs
//
// Counters: active, times of creation and of the last change, public ID, use counter, session counter, low 16 and high 8 bits of the
// timestamp, nonce, notes; -1 is never.
//
// No header; lines that begin with # and empty lines are passed over. Quotes are understood, as the importers do, and never written:
// so commas in notes are part of them. The importer of clients puts values into SQL as they are, so an apostrophe is refused in what
// is written.
// Source: reference validation-protocol.md §13, key-files.md §7.6.
package ykval

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Client is one row: a relying server, which is no credential and so no keyfile.Record.
type Client struct {
	Line    int   // of the file it was read from
	ID      int64 // 1 at least
	Active  bool
	Created time.Time    // in whole seconds, UTC
	Key     secret.Bytes // HMAC-SHA-1 key, 20 bytes usually
	Email   string
	Notes   string
	OTP     string // spent long ago; may be empty
}

// format is the name in errors.
const format = "yubikey-val clients"

// maxKey is the longest key whose base64 fits the table's column of 60 characters, in bytes.
const maxKey = 45

// The columns, 1 the first.
const (
	colID = 1 + iota
	colActive
	colCreated
	colKey
	colEmail
	colNotes
	colOTP
)

// Decode reads clients one at a time in constant memory. A bad row is a *keyfile.RowError beside a zero Client, and reading goes
// on; any other error ends the sequence. The caller destroys each Key. Copies of the keys' base64 that package csv makes may
// remain in memory.
func Decode(r io.Reader) iter.Seq2[Client, error] {
	return func(yield func(Client, error) bool) {
		var c Client
		for rec, err := range keyfile.DecodeLines(format, r, func(row *keyfile.Row) (keyfile.Record, bool) {
			found := false
			c, found = parse(row)
			return keyfile.Record{}, found
		}) {
			if c.Line = rec.Line; err != nil {
				c.Key.Destroy()
				c = Client{}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// split cuts a row into least fields at least, and passes over comments. As the exporters quote nothing, every comma of the notes makes
// one field more: those are put together again, and last fields stand behind them.
func split(row *keyfile.Row, least, notes, last int) (f []string, ok bool) {
	if row.Text[0] == '#' {
		return nil, false
	}
	in := csv.NewReader(bytes.NewReader(row.Text))
	in.FieldsPerRecord, in.LazyQuotes = -1, true
	f, err := in.Read()
	if err != nil {
		row.Bad(0, "line", "quotes that do not end") // the error would hold nothing more
		return nil, true
	}
	if len(f) < least {
		row.Bad(len(f), "row", fmt.Sprintf("want %d fields, got %d", least, len(f)))
		return nil, true
	}
	if end := len(f) - last; end > notes {
		f = append(append(f[:notes-1:notes-1], strings.Join(f[notes-1:end], ",")), f[end:]...)
	}
	return f, true
}

// flag reads 1 or 0.
func flag(row *keyfile.Row, column int, text string) bool {
	if text != "0" && text != "1" {
		row.Bad(column, "active", "not 0 or 1")
	}
	return text == "1"
}

func parse(row *keyfile.Row) (c Client, ok bool) {
	f, ok := split(row, colOTP, colNotes, 1)
	if !ok || f == nil {
		return c, ok
	}
	var err error
	if c.ID, err = strconv.ParseInt(f[colID-1], 10, 64); err != nil || c.ID < 1 {
		row.Bad(colID, "id", "not a number from 1")
	}
	c.Active = flag(row, colActive, f[colActive-1])
	seconds, err := strconv.ParseInt(f[colCreated-1], 10, 64)
	if err != nil || seconds < 0 || seconds > maxTime {
		row.Bad(colCreated, "created", "not a Unix time")
	}
	c.Created = time.Unix(seconds, 0).UTC()
	c.Email, c.Notes, c.OTP = strings.TrimSpace(f[colEmail-1]), strings.TrimSpace(f[colNotes-1]), strings.TrimSpace(f[colOTP-1])
	for i, text := range []string{c.Email, c.Notes, c.OTP} {
		if cause := keyfile.BadText(text); cause != "" {
			row.Bad(colEmail+i, []string{"email", "notes", "otp"}[i], "not a text: "+cause)
		}
	}
	key, err := base64.StdEncoding.DecodeString(f[colKey-1])
	if err != nil || len(key) == 0 || len(key) > maxKey {
		clear(key)
		row.Bad(colKey, "key", "not base64 of 1 to 45 bytes")
		return c, true
	}
	c.Key = secret.New(key)
	return c, true
}

// maxTime is the last second of the year 9999.
const maxTime = 253402300799

// Encode writes one row. It refuses a client that ykval-import-clients would read otherwise, and then writes nothing.
func Encode(w io.Writer, c Client) error {
	created := c.Created.Unix()
	switch {
	case c.ID < 1:
		return fmt.Errorf("%s: client %d: a number is 1 at least", format, c.ID)
	case c.Key.Len() < 1 || c.Key.Len() > maxKey:
		return fmt.Errorf("%s: client %d: key: 1 to %d bytes are possible", format, c.ID, maxKey)
	case created < 0 || created > maxTime:
		return fmt.Errorf("%s: client %d: created: not a Unix time", format, c.ID)
	}
	for _, f := range []struct{ name, text string }{{"email", c.Email}, {"notes", c.Notes}, {"otp", c.OTP}} {
		cause := keyfile.BadName(f.text)
		if strings.ContainsAny(f.text, `'\`) {
			cause = "the importer puts it into SQL as it is"
		}
		if cause != "" {
			return fmt.Errorf("%s: client %d: %s: cannot stand in the file: %s", format, c.ID, f.name, cause)
		}
	}
	active := byte('0')
	if c.Active {
		active = '1'
	}
	row := append(strconv.AppendInt(make([]byte, 0, 1024), c.ID, 10), ',', active, ',')
	defer func() { clear(row[:cap(row)]) }()
	row = append(strconv.AppendInt(row, created, 10), ',')
	row = base64.StdEncoding.AppendEncode(row, c.Key.Reveal())
	row = append(row, ","+c.Email+","+c.Notes+","+c.OTP+"\n"...)
	if _, err := w.Write(row); err != nil {
		return fmt.Errorf("%s: write: %w", format, err)
	}
	return nil
}
