package ykslot

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/ykslot/keyboard"
)

// knownMaps are those of reference yubikey-otp.md §3.7, and the layout for which each types ModHex, digits and "!" as they stand.
var knownMaps = []struct{ layout, text string }{
	{"us", "06050708090a0b0c0d0e0f1115171819 86858788898a8b8c8d8e8f9195979899 271e1f20212223242526 9e 2b 28"},
	{"dvorak", "0c110b071c180d0a0619130f120e0937 8c918b879c988d8a8699938f928e89b7 271e1f20212223242526 9e2b28"},
	{"bepo", "0b140c0938363707130512330f0d1618 8b948c89b8b6b787938592b38f8d9698 a79e9fa0a1a2a3a4a5a6 9c2b28"},
	{"tr", "06050708090a0b340d0e0f1115171819 86858788898a8b8c8d8e8f9195979899 271e1f20212223242526 9e 2b 28"},
	{"fr", "06050708090a0b0c0d0e0f1115171819 86858788898a8b8c8d8e8f9195979899 a79e9fa0a1a2a3a4a5a6 38 2b28"},
}

func TestKnownScanMaps(t *testing.T) {
	t.Parallel()
	for _, k := range knownMaps {
		m, err := ParseScanMap(strings.ReplaceAll(k.text, " ", ""))
		if err != nil {
			t.Errorf("%s: %v", k.layout, err)
			continue
		}
		l, ok := keyboard.Lookup(k.layout)
		if !ok {
			t.Fatalf("no layout %s", k.layout)
		}
		for i, r := range scanMapChars {
			if r == '\r' {
				r = '\n'
			}
			turkish := k.layout == "tr" && r == 'I' // İ is on the key of i
			if got, _ := l.Char(m[i]); got != r && !turkish {
				t.Errorf("%s: the stroke for %q types %q", k.layout, r, got)
			}
		}
		if m.String() != strings.ReplaceAll(k.text, " ", "") {
			t.Errorf("%s: prints %v", k.layout, m)
		}
	}
	if m, err := ParseScanMap(strings.ReplaceAll(knownMaps[0].text, " ", "")); err != nil || m != DefaultScanMap() {
		t.Error("the default differs")
	}
}

func TestScanMapRefuses(t *testing.T) {
	t.Parallel()
	twice, hole, probe := DefaultScanMap(), DefaultScanMap(), ScanMap{}
	twice[3] = twice[2]
	hole[44] = 0
	for i := range probe {
		probe[i] = refreshByte
	}
	for text, m := range map[string]ScanMap{`for "d" and "e"`: twice, `no key for "\r"`: hole, `for "c" and "b"`: probe} {
		var invalid *InvalidError
		if err := m.Check(); !errors.As(err, &invalid) || !strings.Contains(err.Error(), strings.ReplaceAll(text, `"`, `'`)) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := (ScanMap{}).Check(); err != nil {
		t.Errorf("restore: %v", err)
	}
	for _, text := range []string{"", "06", strings.Repeat("zz", 45), strings.Repeat("06", 46)} {
		if _, err := ParseScanMap(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// FuzzScanMap: what parses prints the same again.
func FuzzScanMap(f *testing.F) {
	for _, k := range knownMaps {
		f.Add(strings.ReplaceAll(k.text, " ", ""))
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := ParseScanMap(text); err == nil && m.String() != strings.ToLower(text) {
			t.Fatalf("prints %v", m)
		}
	})
}

// typedStrokes are reports of what a key types, a press and a release each.
type typedStrokes []byte

func (s *typedStrokes) ReadInput(context.Context) (Report, error) {
	if len(*s) == 0 {
		return Report{}, io.EOF
	}
	c := (*s)[0]
	*s = (*s)[1:]
	r := Report{2: c &^ 0x80}
	if c&0x80 != 0 {
		r[0] = 0x20
	}
	return r, nil
}

// TestScanMapInput: what is typed by a map is read by it, and another stroke, as of a scan-code password, stays.
func TestScanMapInput(t *testing.T) {
	t.Parallel()
	m := DefaultScanMap()
	slices.Reverse(m[:])
	m[3] = 0xe5 // a key without a character
	var typed typedStrokes
	for _, c := range m {
		typed = append(typed, c, 0)
	}
	typed = slices.Insert(typed, len(typed)-2, 0x04, 0, 0x84, 0) // before Enter
	const want = "cbdefghijklnrtuvCBDEFGHIJKLNRTUV0123456789!\taA"
	if got, err := ReadPress(t.Context(), m.Input(&typed)); got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
