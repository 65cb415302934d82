package keyfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Row is one line of a table. The first problem sticks: after it every method gives the zero value, so that a codec reads
// all fields and needs no error handling between them.
type Row struct {
	Format string
	Line   int
	Text   []byte // without the line's end; valid during parse only
	fields [][]byte
	err    error
}

// Split is SplitAt for commas.
func (w *Row) Split() { w.SplitAt(",") }

// SplitAt cuts the text at every byte of separators and strips blanks around each field. Quotes mean nothing in these formats;
// a field with one is refused.
func (w *Row) SplitAt(separators string) {
	w.fields = make([][]byte, 0, 8) // most formats have fewer columns
	for rest := w.Text; ; {
		i := bytes.IndexAny(rest, separators)
		if i < 0 {
			w.fields = append(w.fields, rest)
			break
		}
		w.fields, rest = append(w.fields, rest[:i]), rest[i+1:]
	}
	for i := range w.fields {
		w.fields[i] = bytes.TrimSpace(w.fields[i])
		if bytes.IndexByte(w.fields[i], '"') >= 0 {
			w.Bad(i+1, "quotes", "this format has no quotes: they would become part of the value")
		}
	}
}

// Words cuts the text at blanks.
func (w *Row) Words() { w.fields = bytes.Fields(w.Text) }

// Len is the number of fields.
func (w *Row) Len() int { return len(w.fields) }

// Bad records a problem with a column (0: the whole line), unless there is one already.
func (w *Row) Bad(column int, field, cause string) {
	if w.err == nil {
		w.err = &RowError{Format: w.Format, Line: w.Line, Column: column, Field: field, Cause: cause}
	}
}

// Stop ends the reading of the file.
func (w *Row) Stop(err error) {
	if w.err == nil {
		w.err = fmt.Errorf("%s: line %d: %w", w.Format, w.Line, err)
	}
}

// Ok reports whether no problem was found so far.
func (w *Row) Ok() bool { return w.err == nil }

// Bytes is the field in a column, 1 the first; nil when the row is shorter. It is part of Text.
func (w *Row) Bytes(column int) []byte {
	if column > len(w.fields) {
		return nil
	}
	return w.fields[column-1]
}

// Public is a field that holds no secret, as a string.
func (w *Row) Public(column int) string { return string(w.Bytes(column)) }

// Hex reads a secret of n bytes in hexadecimal, either case.
func (w *Row) Hex(column int, field string, n int) secret.Bytes {
	if w.err == nil && len(w.Bytes(column)) != 2*n {
		w.Bad(column, field, fmt.Sprintf("want %d hexadecimal digits, got %d characters", 2*n, len(w.Bytes(column))))
	}
	return w.hex(column, field)
}

// Seed reads an HOTP or TOTP seed of MinSeedSize to MaxSeedSize bytes in hexadecimal, either case.
func (w *Row) Seed(column int, field string) secret.Bytes {
	if n := len(w.Bytes(column)); n%2 != 0 || n < 2*MinSeedSize || n > 2*MaxSeedSize {
		w.Bad(column, field, fmt.Sprintf("want an even number of hexadecimal digits from %d to %d, got %d characters", 2*MinSeedSize, 2*MaxSeedSize, n))
	}
	return w.hex(column, field)
}

func (w *Row) hex(column int, field string) secret.Bytes {
	if w.err != nil {
		return secret.Bytes{}
	}
	src := w.Bytes(column)
	dst := make([]byte, hex.DecodedLen(len(src)))
	if _, err := hex.Decode(dst, src); err != nil { // the error would hold a character
		clear(dst)
		w.Bad(column, field, "not hexadecimal")
		return secret.Bytes{}
	}
	return secret.New(dst)
}

// AccessCode reads 12 hexadecimal digits; nothing and twelve zeros mean that there is none.
func (w *Row) AccessCode(column int) secret.Bytes {
	if len(w.Bytes(column)) == 0 {
		return secret.Bytes{}
	}
	s := w.Hex(column, "access-code", AccessCodeSize)
	if s.IsZero() {
		s.Destroy()
		return secret.Bytes{}
	}
	return s
}

// Serial reads a YubiKey's serial number; nothing is 0.
func (w *Row) Serial(column int) token.Serial {
	if len(w.Bytes(column)) == 0 {
		return 0
	}
	return token.Serial(w.Int(column, "serial", 0, 1<<32-1, 0))
}

// Int reads a decimal number without sign from low to high; absent is what an empty field means.
func (w *Row) Int(column int, field string, low, high, absent int64) int64 {
	if w.err != nil {
		return 0
	}
	text := w.Bytes(column)
	if len(text) == 0 {
		return absent
	}
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil || int64(n) < low || int64(n) > high {
		w.Bad(column, field, fmt.Sprintf("not a number from %d to %d", low, high))
		return 0
	}
	return int64(n)
}

// Counter reads a moving factor up to MaxCounter; nothing is 0.
func (w *Row) Counter(column int) int64 { return w.Int(column, "counter", 0, MaxCounter, 0) }

// Digits reads the length of a code, 6 to 8; nothing is 6.
func (w *Row) Digits(column int) int { return int(w.Int(column, "digits", 6, 8, 6)) }

// Period reads a time step in seconds, up to MaxPeriod; nothing is 30.
func (w *Row) Period(column int) time.Duration {
	return time.Duration(w.Int(column, "period", 1, int64(MaxPeriod/time.Second), 30)) * time.Second
}

// OTPLength checks the number of characters of a Yubico OTP, which says nothing else than how long the public ID is; nothing is
// taken too.
func (w *Row) OTPLength(column int) {
	if n := w.Int(column, "length", otpBlock, otpBlock+2*token.MaxPublicID, 0); n%2 != 0 {
		w.Bad(column, "length", "an OTP has an even number of characters")
	}
}

// PublicID reads ModHex; nothing is the empty public ID.
func (w *Row) PublicID(column int) token.PublicID {
	if w.err != nil {
		return token.PublicID{}
	}
	p, err := token.ParsePublicID(w.Public(column))
	if err != nil {
		w.Bad(column, "public-id", err.Error())
	}
	return p
}

// TimeLayout is the form of times without zone, in Go's notation. Source: reference key-files.md §7.1, §7.5.
const TimeLayout = "2006-01-02T15:04:05"

// Time reads TimeLayout, or with a blank for the T, as UTC; nothing is the zero time.
func (w *Row) Time(column int, field string) time.Time {
	text := w.Bytes(column)
	if len(text) == 0 || w.err != nil {
		return time.Time{}
	}
	if len(text) == len(TimeLayout) {
		if t, err := time.Parse(TimeLayout, strings.Replace(string(text), " ", "T", 1)); err == nil {
			return t
		}
	}
	w.Bad(column, field, "not a time of the form YYYY-MM-DDThh:mm:ss")
	return time.Time{}
}

// Seconds is t as a format without finer time carries it: whole seconds in UTC, or zero when its year has not four digits.
func Seconds(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Second)
	if t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// FormatTime is t in TimeLayout, UTC; "" for the zero time.
func FormatTime(t time.Time) string {
	if t = Seconds(t); t.IsZero() {
		return ""
	}
	return t.Format(TimeLayout)
}

// BadName says why a name cannot stand in a table; "" when it can. A comma would shift the columns, a first character of
// = + - @ is a formula to a spreadsheet, # begins a comment. Source: reference key-files.md §10.
func BadName(s string) string {
	switch {
	case s == "":
		return ""
	case strings.ContainsAny(s, ",\""):
		return "a comma or a quote would shift the columns"
	case strings.ContainsRune("=+-@#", rune(s[0])):
		return "it begins with = + - @ or #, which a spreadsheet takes for a formula and a server for a comment"
	}
	return BadText(s)
}

// BadText says why a name cannot stand in any file; "" when it can.
func BadText(s string) string {
	switch {
	case !utf8.ValidString(s):
		return "it is not UTF-8"
	case strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) || c == 0xFEFF || c == 0xFFFE || c == 0xFFFF }):
		return "it contains control characters"
	case strings.TrimSpace(s) != s:
		return "it begins or ends with a blank"
	case len(s) > 255:
		return "it is longer than 255 bytes"
	}
	return ""
}
