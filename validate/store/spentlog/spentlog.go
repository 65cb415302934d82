// Package spentlog is a file beside the database, of what was spent: one-time passwords that were accepted, or pressed while a
// token was blocked, and uses of temporary and recovery codes. A server appends to a file of its own, and what it accepts is durable there
// before the answer leaves. When a backup of the database is put back, counters are raised to what the file says.
//
// A file is a sequence of lines: a CRC-32C in 8 hexadecimal digits, a blank, the text. The CRC is of the text and of the CRC of the
// line before, so that a changed, missing or moved line is noticed, and all behind it. The texts are
//
//	h JSON                                           the header, once, at the beginning: Header
//	+ N                                              a group begins: all lines before it are durable
//	o CREDENTIAL USE SESSION TIMESTAMP MICROSECONDS  a Yubico OTP
//	m CREDENTIAL MOVING MICROSECONDS                 a HOTP or TOTP code
//	c CODE LEFT MICROSECONDS                         a temporary or recovery code, with the uses that are left
//	s CHAIN                                          this server writes that chain of validations
//	p CHAIN                                          another server began that one
//
// A file that has grown, and that of a server which was started again, is set aside as FILE.000001 and so on. A line that the
// process did not finish, with what follows in the same group, is no damage: no answer left for it.
package spentlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

// Header says where a file begins.
type Header struct {
	Version int        `json:"version"` // 1
	Log     string     `json:"log"`     // of one server, drawn at its first file
	Part    int        `json:"part"`    // from 1
	Before  uint32     `json:"before"`  // CRC of the last good line of the part before; 0 for the first
	Store   string     `json:"store"`   // hexadecimal
	Epoch   int64      `json:"epoch"`   // how often the store had been put back
	Desk    audit.Mark `json:"desk"`    // where the desk chain stood
	At      time.Time  `json:"at"`      // when the part began

}

const version = 1

// Kind is what was spent.
type Kind byte

// The kinds.
const (
	OTP    Kind = 'o'
	Moving Kind = 'm'
	Code   Kind = 'c'
)

// Entry is one thing that was spent.
type Entry struct {
	Kind Kind
	ID   int64 // of the credential or the code
	// Of an OTP use, session and timestamp; of a code by count or time its moving factor; of a Code the uses that are left.
	Use, Session, Timestamp int
	Moving                  int64
	Left                    int64
	At                      time.Time // to the microsecond
}

// append is the text of an entry.
func (e Entry) append(b []byte) []byte {
	b = append(b, byte(e.Kind))
	number := func(n int64) { b = strconv.AppendInt(append(b, ' '), n, 10) }
	number(e.ID)
	switch e.Kind {
	case OTP:
		number(int64(e.Use))
		number(int64(e.Session))
		number(int64(e.Timestamp))
	case Moving:
		number(e.Moving)
	case Code:
		number(e.Left)
	}
	number(e.At.UnixMicro())
	return b
}

// errLine is a text that is none of those above.
var errLine = errors.New("not a line of a log of spent one-time passwords")

// parseEntry reads what append wrote, exactly.
func parseEntry(text string) (Entry, error) {
	parts := strings.Split(text, " ")
	numbers := make([]int64, 0, 5)
	for _, p := range parts[1:] {
		n, err := strconv.ParseInt(p, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != p {
			return Entry{}, errLine
		}
		numbers = append(numbers, n)
	}
	e := Entry{}
	switch kind := parts[0]; {
	case kind == string(OTP) && len(numbers) == 5 && inside(numbers[1], 1<<15) && inside(numbers[2], 1<<8) && inside(numbers[3], 1<<24):
		e = Entry{Kind: OTP, Use: int(numbers[1]), Session: int(numbers[2]), Timestamp: int(numbers[3])}
	case kind == string(Moving) && len(numbers) == 3:
		e = Entry{Kind: Moving, Moving: numbers[1]}
	case kind == string(Code) && len(numbers) == 3:
		e = Entry{Kind: Code, Left: numbers[1]}
	default:
		return Entry{}, errLine
	}
	e.ID, e.At = numbers[0], time.UnixMicro(numbers[len(numbers)-1]).UTC()
	return e, nil
}

func inside(n, end int64) bool { return n >= 0 && n < end }

func crcTable() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// line adds a text with its CRC, and returns that.
func line(b []byte, before uint32, text []byte) ([]byte, uint32) {
	crc := crc32.Update(before, crcTable(), text)
	b = fmt.Appendf(b, "%08x ", crc)
	return append(append(b, text...), '\n'), crc
}

// parseLine checks a line without its end.
func parseLine(before uint32, l string) (text string, crc uint32, ok bool) {
	digits, text, found := strings.Cut(l, " ")
	if !found || len(digits) != 8 {
		return "", 0, false
	}
	crc = crc32.Update(before, crcTable(), []byte(text))
	return text, crc, digits == fmt.Sprintf("%08x", crc)
}

// parseHeader reads the text of the first line.
func parseHeader(text string) (Header, error) {
	var h Header
	object, ok := strings.CutPrefix(text, "h ")
	if !ok || json.Unmarshal([]byte(object), &h) != nil || h.Version != version || h.Part < 1 {
		return Header{}, errLine
	}
	return h, nil
}
