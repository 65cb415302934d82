package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// TestLinesAreRows: of every format that --failed-out writes, the lines before the first record and the line of any record are a file
// with that record.
func TestLinesAreRows(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, c := range codecs.All() {
		if slices.Contains(notByLine(), c.Name()) {
			continue
		}
		var list []keyfile.Record
		for i, r := range sample.All() {
			list = append(list, sample.With(r, func(r *keyfile.Record) { r.Owner = fmt.Sprintf("person%d", i) }))
		}
		if list = sample.Taken(c, list); len(list) < 2 {
			t.Logf("%s: %d samples", c.Name(), len(list))
			continue
		}
		text, err := sample.Encode(c, list...)
		if err != nil {
			t.Errorf("%s: %v", c.Name(), err)
			continue
		}
		tried++
		recs, errs := sample.Decode(c, text)
		if len(errs) > 0 || len(recs) != len(list) {
			t.Errorf("%s: %d records, %v", c.Name(), len(recs), errs)
			continue
		}
		keep := &lineKeeper{r: iotest.HalfReader(strings.NewReader(text)), head: true}
		if got, err := io.ReadAll(keep); err != nil || string(got) != text {
			t.Errorf("%s: passed on %q, %v", c.Name(), got, err)
		}
		var head []byte
		for i, want := range recs {
			h, line := keep.take(want.Line)
			head = append(head, h...)
			got, errs := sample.Decode(c, string(head)+string(line))
			if len(errs) > 0 || len(got) != 1 || len(keyfile.Differences(got[0], want)) > 0 {
				t.Errorf("%s: record %d, line %d: %d records, %v", c.Name(), i, want.Line, len(got), errs)
			}
		}
	}
	if tried < 10 {
		t.Errorf("%d formats were tried", tried)
	}
}

// TestLineKeeperIsBounded: lines that nobody takes do not pile up, and a line without an end is not kept.
func TestLineKeeperIsBounded(t *testing.T) {
	t.Parallel()
	rows := strings.Repeat(strings.Repeat("a", 99)+"\n", 3*maxKept/100)
	keep := &lineKeeper{r: io.MultiReader(strings.NewReader(rows), strings.NewReader(strings.Repeat("b", maxKept)))}
	if _, err := io.Copy(io.Discard, keep); err != nil || keep.size > maxKept || len(keep.text) > 0 {
		t.Errorf("%d bytes, %v", keep.size, err)
	}
	if _, line := keep.take(3*maxKept/100 + 1); line != nil {
		t.Errorf("a line of %d bytes was kept", len(line))
	}
}
