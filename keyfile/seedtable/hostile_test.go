package seedtable

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

func utf16Text(s string, big bool) string {
	var b strings.Builder
	for _, c := range utf16.Encode([]rune("\uFEFF" + s)) {
		if big {
			b.WriteString(string([]byte{byte(c >> 8), byte(c)}))
		} else {
			b.WriteString(string([]byte{byte(c), byte(c >> 8)}))
		}
	}
	return b.String()
}

func TestStops(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       error
		detect     int
	}{
		{"empty", "", ErrNoSeeds, 0},
		{"ZIP", "PK\x03\x04 and more", ErrZIP, 1},
		{"ZIP of a few bytes", "PK\x03\x04", ErrZIP, 1},
		{"gzip", "\x1F\x8B\x08\x00", ErrArchive, 1},
		{"old Excel", "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\x00", ErrExcel, 1},
		{"PDF", "%PDF-1.4\n", ErrPDF, 0},
		{"OpenPGP", "-----BEGIN PGP MESSAGE-----\n", keyfile.ErrOpenPGP, 0},
		{"XML", "\n<Tokens/>", ErrMarkup, 0},
		{"JSON", `{"a":1}`, ErrMarkup, 0},
		{"words", "hello, world\n", ErrNoSeeds, 0},
		{"commas", ",,,,,,\n", ErrNoSeeds, 0},
		{"letters", "a,b,c,d,e,f,\n", ErrNoSeeds, 0},
		{"seeds alone", base32Alice + "\n" + base32Bob + "\n", ErrNoSeeds, 0},
		{"seeds twice", base32Alice + "," + base32Bob + "\n", nil, 40}, // the first is refused as a serial
		{"header alone", "serial,seed\n", ErrNoSeeds, 0},
		{"NUL", "x1," + base32Alice + "\n\x00", ErrBinary, 0},
		{"zeros", strings.Repeat("\x00", 3*SampleSize), ErrBinary, 0},
		{"UTF-16 without mark", strings.TrimPrefix(utf16Text("x1,"+base32Alice+"\n", false), "\xFF\xFE"), ErrBinary, 0},
		{"half a UTF-16", "\xFF\xFEx", ErrNoSeeds, 0},
		{"endless line", strings.Repeat("a", 3*SampleSize), ErrNoSeeds, 0},
		{"endless quote", `x1,"` + strings.Repeat("a\n", SampleSize), ErrNoSeeds, 0},
	} {
		recs, errs := sample.Decode(sixty, tc.text)
		if len(recs) != 0 || len(errs) != 1 || tc.want != nil && (!errors.Is(errs[0], tc.want) || keyfile.IsRow(errs[0])) {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
		}
		if n := sixty.Detect([]byte(tc.text)[:min(len(tc.text), 4096)]); n != tc.detect {
			t.Errorf("%s: Detect says %d", tc.name, n)
		}
	}
	broken := errors.New("disk gone")
	for _, r := range []io.Reader{iotest.ErrReader(broken), io.MultiReader(strings.NewReader("x1,"+base32Alice+"\n"), iotest.ErrReader(broken))} {
		for _, err := range sixty.Decode(r) {
			if !errors.Is(err, broken) {
				t.Errorf("a broken reader: %v", err)
			}
		}
	}
}

// A line that is too long or damaged spoils itself only.
func TestLinesBetween(t *testing.T) {
	t.Parallel()
	text := "x1," + base32Alice + "\n" + strings.Repeat("a", 3*SampleSize) + "\nx2," + base32Bob + "\nx3,\x01\nx4," + base32Carol + "\n"
	recs, errs := sample.Decode(sixty, text)
	if len(recs) != 3 || len(errs) != 2 || recs[2].Line != 5 {
		t.Errorf("%d records, %v", len(recs), errs)
	}
}

// shapeOf is one way of writing a table.
type shapeOf struct {
	sep             Separator
	encoding        Encoding
	header          bool
	quotes, crlf    bool
	charset         int // UTF-8, BOM, UTF-16 LE, UTF-16 BE
	column, comment bool
}

func write(r *rand.Rand, s shapeOf, recs []keyfile.Record) string {
	var b strings.Builder
	end := "\n"
	if s.crlf {
		end = "\r\n"
	}
	line := func(fields ...string) {
		if !s.column {
			fields = fields[:2]
		}
		for i, f := range fields {
			if s.quotes && (s.sep != Blank || r.IntN(2) == 0) {
				f = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
			}
			if i > 0 {
				b.WriteByte(byte(s.sep))
			}
			b.WriteString(f)
		}
		b.WriteString(end)
	}
	if s.comment {
		b.WriteString("# of a vendor" + end + end)
	}
	if s.header {
		line([]string{"Serial", "SN", "serial_no"}[r.IntN(3)], []string{"Seed", "SecretKey", "KEY"}[r.IntN(3)], "Interval")
	}
	for _, rec := range recs {
		line(rec.Label, encode(r, s.encoding, rec.Key.Reveal()), fmt.Sprint(int(rec.Period/time.Second)))
	}
	switch s.charset {
	case 1:
		return "\xEF\xBB\xBF" + b.String()
	case 2, 3:
		return utf16Text(b.String(), s.charset == 3)
	}
	return b.String()
}

// TestEveryShape writes random rows in random shapes and reads them back.
func TestEveryShape(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	flip := func() bool { return r.IntN(2) == 0 }
	for range 2000 {
		s := shapeOf{separators()[r.IntN(5)], Encodings()[r.IntN(5)], flip(), flip(), flip(), r.IntN(4), flip(), flip()}
		size := []int{20, 32, 64, 16}[r.IntN(4)]
		prefix := []string{"", "TT", "0"}[r.IntN(3)]
		period := 30 * (1 + r.IntN(2))
		var want []keyfile.Record
		for i := range 1 + r.IntN(30) {
			key := make([]byte, size)
			for j := range key {
				key[j] = byte(r.Uint32())
			}
			want = append(want, totp(prefix+fmt.Sprintf("%09d", i*r.IntN(1e6)+i), fmt.Sprintf("%x", key), period))
		}
		text := write(r, s, want)
		reader := Reader{}
		if !s.column {
			reader.Period = time.Duration(period) * time.Second
		}
		before := t.Failed()
		if sample.AssertRecords(t, reader, fmt.Sprintf("%+v, %d bytes", s, size), text, unique(want)); t.Failed() && !before {
			t.Fatalf("%.400q", text)
		}
	}
}

func unique(recs []keyfile.Record) (out []keyfile.Record) {
	seen := map[string]bool{}
	for _, r := range recs {
		if !seen[r.Label] {
			seen[r.Label] = true
			out = append(out, r)
		}
	}
	return out
}

// table reads n rows, each with a serial of its own.
type table struct {
	n, at int
	row   []byte
}

func (t *table) Read(p []byte) (int, error) {
	if len(t.row) == 0 {
		if t.at == t.n {
			return 0, io.EOF
		}
		t.at++
		t.row = fmt.Appendf(t.row, "26%011d,%s\n", t.at, sample.SeedAlice)
	}
	n := copy(p, t.row)
	t.row = t.row[n:]
	return n, nil
}

// TestFlatMemory: twice the rows must not want more memory, once MaxRemembered serials are remembered.
func TestFlatMemory(t *testing.T) {
	heap := func(rows int) uint64 {
		var m runtime.MemStats
		n, most := 0, uint64(0)
		for rec, err := range sixty.Decode(&table{n: rows}) {
			if err != nil {
				t.Fatal(err)
			}
			rec.Destroy()
			if n++; n%(rows/4) == 0 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		if n != rows {
			t.Fatalf("%d records", n)
		}
		return most
	}
	small, large := heap(2*MaxRemembered), heap(4*MaxRemembered)
	if large > small+1<<20 {
		t.Errorf("%d bytes for few rows, %d for many", small, large)
	}
}

// FuzzDecode: no panic; an error stands beside a zero record; a record is sound; nothing of a bad row is repeated.
func FuzzDecode(f *testing.F) {
	seeds := []string{"x1," + base32Alice + "\n", "serial;seed;type;period;counter\r\nx1;" + sample.SeedAlice + ";totp;30;\r\n", "sep=|\nx|\"" + sample.SeedBob + "\"|a@b\n",
		utf16Text("x1\t"+base32Alice+"\n", true), "x1,j\xFCrgen," + sample.SeedAlice + "\n1.2E+11,," + sample.SeedBob + "\n", "PK\x03\x04", "x 018079121168029023212255035092030024057226019018080027185104\n"}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		if n := sixty.Detect([]byte(file[:min(len(file), 4096)])); n > 60 {
			t.Errorf("Detect says %d, as a format of fixed form would", n)
		}
		sample.AssertFile(t, sixty, file, sample.Sound(), sample.Labelled, func(t *testing.T, rec keyfile.Record) {
			if rec.Key.Len() < MinSeedSize {
				t.Errorf("line %d: a seed of %d bytes", rec.Line, rec.Key.Len())
			}
		})
	})
}

func BenchmarkDecode(b *testing.B) {
	const rows = 100_000
	for b.Loop() {
		for rec, err := range sixty.Decode(&table{n: rows}) {
			if err != nil {
				b.Fatal(err)
			}
			rec.Destroy()
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
