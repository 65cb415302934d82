package paper_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tokendesk/tokendesk/provision/paper"
)

func TestScan(t *testing.T) {
	t.Parallel()
	p, none := open(t, folder()), open(t, nil)
	code := "TD1R.R-17.4711." + strings.ToUpper(hash)
	for _, tc := range []struct {
		line string
		want paper.Scan
	}{
		{";0012345?\r\n", paper.Scan{Kind: paper.ScanPerson, Value: "u0012345"}},
		{";?", paper.Scan{Kind: paper.ScanQuery, Value: ";?"}},
		{";1 2?", paper.Scan{Kind: paper.ScanQuery, Value: ";1 2?"}},
		{"A-00017\n", paper.Scan{Kind: paper.ScanQuery, Value: "A-00017"}},
		{" 20411733 ", paper.Scan{Kind: paper.ScanQuery, Value: "20411733"}},
		{code, paper.Scan{Kind: paper.ScanReceipt, Value: "R-17", Checkpoint: paper.Checkpoint{Seq: 4711, Hash: hash}}},
		{strings.ToLower(strings.Replace(code, "-", "ß", 1)), paper.Scan{Kind: paper.ScanReceipt, Value: "R-17", Checkpoint: paper.Checkpoint{Seq: 4711, Hash: hash}}},
		{"TD1R.R-DESK2-3.0.", paper.Scan{Kind: paper.ScanReceipt, Value: "R-DESK2-3"}},
		{"TD1R.R-17.4711.zz", paper.Scan{Kind: paper.ScanQuery, Value: "TD1R.R-17.4711.zz"}},
		{"TD1R..0.", paper.Scan{Kind: paper.ScanQuery, Value: "TD1R..0."}},
		{"vvccccbeiggg" + strings.Repeat("cbdefghi", 4) + "\n", paper.Scan{Kind: paper.ScanOTP, Value: "vvccccbeiggg"}},
		{strings.ToUpper("vvccccbeiggg" + strings.Repeat("cbdefghi", 4)), paper.Scan{Kind: paper.ScanOTP, Value: "vvccccbeiggg"}},
		{"\x1b[2J\u202e", paper.Scan{Kind: paper.ScanQuery, Value: "[2J"}},
		{"\r\n", paper.Scan{}},
	} {
		if got := p.Scan(tc.line); got != tc.want {
			t.Errorf("%q: got %+v, want %+v", tc.line, got, tc.want)
		}
	}
	if got := none.Scan(";0012345?"); got.Kind != paper.ScanQuery {
		t.Errorf("without a rule: %+v", got)
	}
	digits := open(t, fstest.MapFS{"site.txt": {Data: []byte("card = {}\n")}})
	if got := digits.Scan("4711"); got.Kind != paper.ScanPerson || got.Value != "4711" {
		t.Errorf("every line is a card: %+v", got)
	}
}

// FuzzScan: no scan holds control characters or an OTP, and what was read once is read the same again.
func FuzzScan(f *testing.F) {
	p := open(f, folder())
	for _, s := range []string{";1?", "A-00017", "TD1R.R-17.4711." + hash, "vvccccbeiggg" + strings.Repeat("cbdefghi", 4), "x\x00y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s := p.Scan(line)
		if strings.ContainsFunc(s.Value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }) {
			t.Fatalf("%q", s.Value)
		}
		switch {
		case (s.Kind == paper.ScanNothing) != (s.Value == "" && s.Kind != paper.ScanOTP):
			t.Fatalf("%+v", s)
		case s.Kind == paper.ScanQuery && p.Scan(s.Value) != s:
			t.Fatalf("%+v is %+v", s, p.Scan(s.Value))
		case s.Kind == paper.ScanOTP && len(s.Value) > 32:
			t.Fatalf("%d characters of an OTP", len(s.Value))
		}
	})
}
