package sample

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
)

// AssertLoss fails the test unless c names field among the losses of rec, refuses rec exactly if fatal, as a
// *keyfile.LossError about that field and token, and then writes nothing.
func AssertLoss(t *testing.T, c keyfile.Codec, name string, rec keyfile.Record, field string, fatal bool) {
	t.Helper()
	found := false
	for _, l := range c.Loss(rec) {
		if l.Field == field && l.Fatal == fatal {
			found = true
		}
		if l.Note == "" {
			t.Errorf("%s: %s: loss of %s without a note", c.Name(), name, l.Field)
		}
	}
	if !found {
		t.Errorf("%s: %s: no loss of %s (fatal %v) in %v", c.Name(), name, field, fatal, c.Loss(rec))
	}
	out := new(counter)
	err := c.NewEncoder(out).Encode(rec)
	if !fatal {
		if err != nil {
			t.Errorf("%s: %s: refused: %v", c.Name(), name, err)
		}
		return
	}
	var refused *keyfile.LossError
	if !errors.As(err, &refused) || refused.Loss.Field != field || refused.Token != rec.Name() || *out != 0 {
		t.Errorf("%s: %s: got %v after %d bytes, want a refusal for %s", c.Name(), name, err, *out, field)
	}
}

// AssertRecords fails the test unless c reads text as want and nothing else.
func AssertRecords(t *testing.T, c keyfile.Reader, name, text string, want []keyfile.Record) {
	t.Helper()
	recs, errs := Decode(c, text)
	if len(errs) > 0 || len(recs) != len(want) {
		t.Errorf("%s: %s: %d records, %v", c.Name(), name, len(recs), errs)
		return
	}
	for i := range recs {
		if d := keyfile.Differences(recs[i], want[i]); len(d) > 0 {
			t.Errorf("%s: %s: record %d differs in %v", c.Name(), name, i, d)
		}
	}
}

// AssertBadRow fails the test unless c reads good records from text and refuses line 2 alone, for that field in that
// column, without repeating it.
func AssertBadRow(t *testing.T, c keyfile.Reader, name, text string, good int, field string, column int) {
	t.Helper()
	recs, errs := Decode(c, text)
	var bad *keyfile.RowError
	if len(errs) != 1 || len(recs) != good || !errors.As(errs[0], &bad) {
		t.Errorf("%s: %s: %d records, %v", c.Name(), name, len(recs), errs)
		return
	}
	if bad.Line != 2 || bad.Column != column || bad.Field != field || bad.Format != c.Name() {
		t.Errorf("%s: %s: %v, want field %s in column %d of line 2", c.Name(), name, bad, field, column)
	}
	if echo := Echo(bad, strings.Split(text, "\n")[1]); echo != "" {
		t.Errorf("%s: %s: %q repeats %q", c.Name(), name, bad, echo)
	}
}

// AssertDetects fails the test where r is not as sure of a file that begins with a text as the table says.
func AssertDetects(t *testing.T, r keyfile.Reader, sure map[string]int) {
	t.Helper()
	for text, want := range sure {
		if got := r.Detect([]byte(text)); got != want {
			t.Errorf("%s: %.30q: Detect says %d, want %d", r.Name(), text, got, want)
		}
	}
}

// AssertNone fails the test where r takes one of texts, or a part of it, for a record.
func AssertNone(t *testing.T, r keyfile.Reader, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if recs, _ := Decode(r, text); len(recs) > 0 {
			t.Errorf("%s: takes %.20q", r.Name(), text)
		}
	}
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
