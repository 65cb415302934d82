package sample

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// headSize is how much of a file Detect gets, in bytes.
const headSize = 4 << 10

// Law says what holds of each record that a format reads.
type Law func(t *testing.T, rec keyfile.Record)

// Sound is the law that a record is a sound credential of one of kinds; none stands for any.
func Sound(kinds ...token.Kind) Law {
	return func(t *testing.T, rec keyfile.Record) {
		of := kinds
		if len(of) == 0 {
			of = []token.Kind{token.YubicoOTP, token.HOTP, token.TOTP}
		}
		if l := keyfile.Unsound(rec, of...); len(l) > 0 {
			t.Errorf("line %d: %v", rec.Line, l)
		}
	}
}

// Labelled is the law that a record has a label.
func Labelled(t *testing.T, rec keyfile.Record) {
	if rec.Label == "" {
		t.Errorf("line %d: no label", rec.Line)
	}
}

// Written is the law that c writes what it has read.
func Written(c keyfile.Codec) Law {
	return func(t *testing.T, rec keyfile.Record) {
		if err := keyfile.Refused(c.Name(), rec, c.Loss(rec)); err != nil {
			t.Errorf("line %d: what was read is refused: %v", rec.Line, err)
		}
	}
}

// Fuzz holds of any file, beginning with seeds: no panic; Detect says 0 to 100; an error stands beside a zero record; a
// record stands on a line of the file and keeps laws. Of a Codec's records that it does not refuse also: the format
// carries them whole, apart from the access code; each comes back from a file of its own, and all of them from one.
func Fuzz(f *testing.F, r keyfile.Reader, seeds []string, laws ...Law) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds: a fuzzer without them finds nothing")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { AssertFile(t, r, text, laws...) })
}

// AssertFile is Fuzz for one file.
func AssertFile(t *testing.T, r keyfile.Reader, text string, laws ...Law) {
	t.Helper()
	if n := r.Detect([]byte(text[:min(len(text), headSize)])); n < 0 || n > 100 {
		t.Errorf("Detect says %d", n)
	}
	var recs []keyfile.Record
	for rec, err := range r.Decode(strings.NewReader(text)) {
		if err != nil {
			if d := keyfile.Differences(rec, keyfile.Record{}); len(d) > 0 || rec.Line != 0 {
				t.Errorf("%v beside a record with %v", err, d)
			}
			continue
		}
		if rec.Line < 1 || rec.Line > 1+strings.Count(text, "\n") {
			t.Errorf("a record of line %d", rec.Line)
		}
		for _, law := range laws {
			law(t, rec)
		}
		recs = append(recs, rec)
	}
	if c, ok := r.(keyfile.Codec); ok {
		assertCarried(t, c, recs)
	}
	for _, rec := range recs {
		rec.Destroy()
	}
}

// assertCarried is what Fuzz holds of a Codec's records.
func assertCarried(t *testing.T, c keyfile.Codec, recs []keyfile.Record) {
	t.Helper()
	if recs = Taken(c, recs); len(recs) == 0 {
		return
	}
	for _, rec := range recs {
		for _, field := range keyfile.Differences(rec, c.Carried(rec)) {
			if field != "access-code" {
				t.Errorf("line %d: the file said %s, and Carried loses it", rec.Line, field)
			}
		}
	}
	assertAgain(t, c, recs)
	if len(recs) < 2 {
		return
	}
	for _, rec := range recs {
		assertAgain(t, c, []keyfile.Record{rec})
	}
}

// assertAgain writes recs into one file, unless they cannot stand in one, and reads it.
func assertAgain(t *testing.T, c keyfile.Codec, recs []keyfile.Record) {
	t.Helper()
	text, err := Encode(c, recs...)
	var refused *keyfile.LossError
	if len(recs) > 1 && errors.As(err, &refused) {
		return // a server that keeps one a person, a file that holds one
	}
	if err != nil {
		t.Fatalf("encode what was decoded: %v", err)
	}
	if err := keyfile.Check(c, strings.NewReader(text), keyfile.All(recs)); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
}
