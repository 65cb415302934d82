package sample

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/tokendesk/tokendesk/keyfile"
)

// long is the size of the files that say one thing over and over, in bytes.
const long = 1 << 20

// AssertHostile fails the test unless r, which reads records from text, also reads the same behind a byte-order mark and with
// CRLF, takes nothing else for a record, names UTF-16, notices a NUL, and passes on why reading failed; a file that is cut
// anywhere gives errors beside zero records.
func AssertHostile(t *testing.T, r keyfile.Reader, text string) {
	t.Helper()
	want, skipped := Decode(r, text)
	if len(want) == 0 {
		t.Fatalf("%s: no record: %v", r.Name(), skipped)
	}
	for name, same := range map[string]string{"byte-order mark": "\xEF\xBB\xBF" + text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n")} {
		recs, errs := Decode(r, same)
		if len(recs) != len(want) || len(errs) != len(skipped) {
			t.Errorf("%s: %s: %d records, %v", r.Name(), name, len(recs), errs)
			continue
		}
		for i := range recs {
			if d := keyfile.Differences(recs[i], want[i]); len(d) > 0 || recs[i].Line != want[i].Line {
				t.Errorf("%s: %s: record %d, line %d, differs in %v", r.Name(), name, i, recs[i].Line, d)
			}
		}
	}
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		recs, errs := Decode(r, utf16Text(text, order))
		if len(recs) > 0 || len(errs) != 1 || !errors.Is(errs[0], keyfile.ErrUTF16) {
			t.Errorf("%s: UTF-16, %s-endian: %d records, %v", r.Name(), name, len(recs), errs)
		}
	}
	for _, c := range []byte("\x00 \t\r\n,;:|=\"'#-[{<A0f\xFF") {
		for _, n := range []int{1, long} {
			if recs, _ := Decode(r, strings.Repeat(string([]byte{c}), n)); len(recs) > 0 {
				t.Errorf("%s: %d times %q: %d records", r.Name(), n, c, len(recs))
			}
		}
	}
	half := len(text) / 2
	if recs, errs := Decode(r, text[:half]+"\x00"+text[half+1:]); len(errs) <= len(skipped) && len(recs) >= len(want) {
		t.Errorf("%s: a NUL: %d records, %v", r.Name(), len(recs), errs)
	}
	assertCut(t, r, text, len(want)+len(skipped))
}

// assertCut reads text up to each of its bytes, and then an error.
func assertCut(t *testing.T, r keyfile.Reader, text string, most int) {
	t.Helper()
	for n := range text {
		recs := 0
		for rec, err := range r.Decode(strings.NewReader(text[:n])) {
			if err == nil {
				recs++
			} else if d := keyfile.Differences(rec, keyfile.Record{}); len(d) > 0 || rec.Line != 0 {
				t.Errorf("%s: cut at %d: %v beside a record with %v", r.Name(), n, err, d)
			}
		}
		if recs > most {
			t.Errorf("%s: cut at %d: %d records", r.Name(), n, recs)
		}
	}
	broken := errors.New("the disk is broken")
	var last error
	for _, err := range r.Decode(io.MultiReader(strings.NewReader(text[:len(text)/2]), iotest.ErrReader(broken))) {
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("%s: a reader that fails: %v", r.Name(), last)
	}
}

// utf16Text is text in UTF-16 behind a byte-order mark.
func utf16Text(text string, order binary.AppendByteOrder) string {
	var out []byte
	for _, u := range utf16.Encode([]rune("\uFEFF" + text)) {
		out = order.AppendUint16(out, u)
	}
	return string(out)
}
