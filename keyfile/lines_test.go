package keyfile_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tokendesk/tokendesk/keyfile"
)

// readLines reads text and notes every line as "number text" and every error as "!" and its text.
func readLines(r io.Reader) []string {
	var out []string
	parse := func(row *keyfile.Row) (keyfile.Record, bool) {
		if string(row.Text) == "none" {
			return keyfile.Record{}, false
		}
		return keyfile.Record{Label: string(row.Text)}, true
	}
	for rec, err := range keyfile.DecodeLines("test", r, parse) {
		if err != nil {
			out = append(out, "! "+err.Error())
			continue
		}
		out = append(out, fmt.Sprint(rec.Line, " ", rec.Label))
	}
	return out
}

func TestLines(t *testing.T) {
	t.Parallel()
	full, long := strings.Repeat("a", keyfile.MaxLine), strings.Repeat("b", keyfile.MaxLine+1)
	huge := strings.Repeat("c", 100*keyfile.MaxLine)
	tooLong := "(line): longer than 4096 bytes"
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"ends", "a\nb\r\nc", []string{"1 a", "2 b", "3 c"}},
		{"blank lines", "\n \r\n\na\n\n", []string{"4 a"}},
		{"nothing on a line", "none\na\n", []string{"2 a"}},
		{"byte-order mark", "\xEF\xBB\xBFa\n", []string{"1 a"}},
		{"mark in the middle", "a\n\xEF\xBB\xBFb\n", []string{"1 a", "2 \uFEFFb"}},
		{"longest", full + "\n" + full + "\r\n" + full, []string{"1 " + full, "2 " + full, "3 " + full}},
		{"too long", "x\n" + long + "\ny\n" + long, []string{"1 x", "! test: line 2 " + tooLong, "3 y", "! test: line 4 " + tooLong}},
		{"much too long", huge + "\ny\n" + huge, []string{"! test: line 1 " + tooLong, "2 y", "! test: line 3 " + tooLong}},
		{"not UTF-8", "a\xff\nb\n", []string{"! test: line 1 (line): not UTF-8", "2 b"}},
		{"control", "a\x00\nb\rc\nd\te\n", []string{"! test: line 1 (line): contains control characters", "! test: line 2 (line): contains control characters", "3 d\te"}},
		{"UTF-16", "\xFF\xFEa\x00\n\x00b", []string{"! test: " + keyfile.ErrUTF16.Error()}},
		{"UTF-16 big", "\xFE\xFF" + huge, []string{"! test: " + keyfile.ErrUTF16.Error()}},
		{"OpenPGP", "-----BEGIN PGP MESSAGE-----\n", []string{"! test: " + keyfile.ErrOpenPGP.Error()}},
		{"OpenPGP later", "a\n-----BEGIN PGP MESSAGE-----\n", []string{"1 a", "2 -----BEGIN PGP MESSAGE-----"}},
	} {
		for how, r := range map[string]io.Reader{"whole": strings.NewReader(tc.text), "byte by byte": iotest.OneByteReader(strings.NewReader(tc.text)),
			"end with data": iotest.DataErrReader(strings.NewReader(tc.text))} {
			got := readLines(r)
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("%s, %s: got %.300q, want %.300q", tc.name, how, got, tc.want)
			}
		}
	}
}

func TestLinesReaderFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk gone")
	for name, tc := range map[string]struct {
		r    io.Reader
		want error
	}{
		"error":    {io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), broken},
		"no data":  {io.MultiReader(strings.NewReader("a\nb"), stuck{}), io.ErrNoProgress},
		"timeouts": {iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("a\nb"))), iotest.ErrTimeout},
	} {
		var last error
		n := 0
		for _, err := range keyfile.DecodeLines("test", tc.r, func(*keyfile.Row) (keyfile.Record, bool) { return keyfile.Record{}, true }) {
			last = err
			n++
		}
		if !errors.Is(last, tc.want) || n > 2 || keyfile.IsRow(last) {
			t.Errorf("%s: %d results, last %v", name, n, last)
		}
	}
}

// stuck returns nothing for ever.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }
