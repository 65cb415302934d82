package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/token"
)

func TestReceiptNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		station string
		number  int64
	}{
		"R-17": {"", 17}, "r-17": {"", 17}, "R-DESK2-3": {"DESK2", 3}, "R-A-B-3": {"A-B", 3},
		"R-": {}, "R-0": {}, "R-017": {}, "17": {}, "R-x": {}, "R-99999999999999999999": {}, "XR-1": {},
	} {
		station, number, ok := parseReceiptNumber(text)
		if station != want.station || number != want.number || ok != (want.number > 0) {
			t.Errorf("%s: %q, %d, %v", text, station, number, ok)
		}
		if ref := (token.Receipt{Station: station, Number: number}).Ref(); ok && !strings.EqualFold(ref, text) {
			t.Errorf("%s is written %s", text, ref)
		}
	}
}

// TestReceiptCheckpoint: paper that says another checkpoint than the store is refused, but for what was made without network.
func TestReceiptCheckpoint(t *testing.T) {
	t.Parallel()
	kept := token.Receipt{Number: 17, Checkpoint: 4711, Hash: strings.Repeat("ab", 32)}
	on := func(seq int64, hash string) paper.Scan {
		return paper.Scan{Kind: paper.ScanReceipt, Value: "R-17", Checkpoint: paper.Checkpoint{Seq: seq, Hash: hash}}
	}
	for _, tc := range []struct {
		name string
		scan paper.Scan
		kept token.Receipt
		said string
		ok   bool
	}{
		{"the same", on(4711, kept.Hash), kept, "is the store's: event 4711", true},
		{"another event", on(4712, kept.Hash), kept, "", false},
		{"another hash", on(4711, strings.Repeat("cd", 32)), kept, "", false},
		{"none", on(0, ""), kept, "", false},
		{"a journal's", on(0, ""), token.Receipt{Station: "DESK2", Number: 17, Checkpoint: 9}, "without a connection", true},
	} {
		var talk bytes.Buffer
		a := &app{env: &env{stderr: &talk}}
		err := a.compareReceipt(tc.kept, tc.scan)
		var p *problem
		if (err == nil) != tc.ok || err != nil && (!errors.As(err, &p) || p.code != exitVerify) || !strings.Contains(talk.String(), tc.said) {
			t.Errorf("%s: %v, %q", tc.name, err, talk.String())
		}
	}
}
