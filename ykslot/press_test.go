package ykslot

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// typist gives its reports one after the other, gap apart, then waits until ctx is done.
type typist struct {
	reports []Report
	gap     time.Duration
}

func (k *typist) ReadInput(ctx context.Context) (Report, error) {
	if len(k.reports) == 0 {
		<-ctx.Done()
		return Report{}, ctx.Err()
	}
	if err := sleep(ctx, k.gap); err != nil {
		return Report{}, err
	}
	r := k.reports[0]
	k.reports = k.reports[1:]
	return r, nil
}

// strokes presses and releases each usage; bit 80 is Shift, as in a scan map.
func strokes(usages ...byte) (out []Report) {
	for _, u := range usages {
		r := Report{offUsages: u & 0x7f}
		if u&0x80 != 0 {
			r[0] = 0x02
		}
		out = append(out, r, Report{})
	}
	return out
}

// defaultMap is the default scan map, reference yubikey-otp.md §3.7, without its TAB and CR.
var defaultMap = []byte{
	0x06, 0x05, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x11, 0x15, 0x17, 0x18, 0x19,
	0x86, 0x85, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x91, 0x95, 0x97, 0x98, 0x99,
	0x27, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x9e,
}

func TestReadPress(t *testing.T) {
	t.Parallel()
	enter := strokes(usageEnter)
	held := Report{offUsages: 0x06}
	for _, tc := range []struct {
		name    string
		reports []Report
		want    string
	}{
		{"default scan map", append(strokes(defaultMap...), enter...), "cbdefghijklnrtuvCBDEFGHIJKLNRTUV0123456789!"},
		{"HOTP code", append(strokes(0x24, 0x22, 0x22, 0x1f, 0x1f, 0x21), enter...), "755224"},
		{"keypad digits, keypad Enter", strokes(0x5f, 0x5d, 0x5d, 0x5a, 0x5a, 0x5c, 0x62, usageKeypad), "7552240"},
		{"Hello World!", append(strokes(0x8b, 0x08, 0x0f, 0x0f, 0x12, 0x2c, 0x9a, 0x12, 0x15, 0x0f, 0x07, 0x9e), enter...), "Hello World!"},
		{"punctuation", append(strokes(0x2d, 0xae, 0x2f, 0xb0, 0x32, 0xb3, 0x34, 0xb4, 0x35, 0xb8, 0xb1, 0x2b), enter...), "-+[}\\:'\"`?|\t"},
		{"report repeated while held", append([]Report{held, held, {}, held, {}}, enter...), "cc"},
		{"second key before the first is released", append([]Report{held, {0, 0, 0x06, 0x05}, {0, 0, 0x05}, {}}, enter...), "cb"},
		{"roll-over error and unknown keys", append([]Report{{0, 0, 1, 1, 1, 1, 1, 1}, {0, 0, 0x45}, {}}, enter...), ""},
		{"right Shift", append([]Report{{0x20, 0, 0x04}, {}}, enter...), "A"},
		{"Ctrl is no Shift", append([]Report{{0x01, 0, 0x04}, {}}, enter...), "a"},
	} {
		got, err := ReadPress(t.Context(), &typist{reports: tc.reports})
		if err != nil || got != tc.want {
			t.Errorf("%s: got %q, %v", tc.name, got, err)
		}
	}
}

func TestReadPressSilence(t *testing.T) {
	t.Parallel()
	otp := strokes(defaultMap[:16]...)
	for _, tc := range []struct {
		name    string
		reports []Report
		gap     time.Duration
		chars   int
		is      error
	}{
		{"32 characters without Enter", append(otp, otp...), 70 * time.Millisecond, 32, nil},
		{"44 characters, slowest pacing", append(append(otp, otp...), otp[:24]...), 80 * time.Millisecond, 44, nil},
		{"16 characters do not end by silence", otp, time.Millisecond, 0, context.DeadlineExceeded},
		{"nobody touches", nil, 0, 0, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			start := time.Now()
			got, err := ReadPress(ctx, &typist{reports: tc.reports, gap: tc.gap})
			if !errors.Is(err, tc.is) || len(got) != tc.chars {
				t.Errorf("%s: %d characters, %v", tc.name, len(got), err)
			}
			if want := time.Duration(len(tc.reports))*tc.gap + pressQuiet; err == nil && time.Since(start) != want {
				t.Errorf("%s: took %v, want %v", tc.name, time.Since(start), want)
			}
		})
	}
}

// lagging has its reports at once, but while it is asked for one of them the machine stands still.
type lagging struct {
	typist
	at int
}

func (l *lagging) ReadInput(ctx context.Context) (Report, error) {
	if len(l.reports) == l.at {
		l.at = -1
		time.Sleep(5 * time.Second)
	}
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	return l.typist.ReadInput(ctx)
}

// TestReadPressStandsStill: a reader that stood still for longer than a silence does not take what was typed meanwhile for the end.
func TestReadPressStandsStill(t *testing.T) {
	t.Parallel()
	reports := strokes(bytes.Repeat([]byte{0x06}, 44)...)
	for at := range len(reports) {
		synctest.Test(t, func(t *testing.T) {
			if got, err := ReadPress(t.Context(), &lagging{typist{reports: reports}, at}); err != nil || len(got) != 44 {
				t.Errorf("%d reports before the end: %d characters, %v", at, len(got), err)
			}
		})
	}
}

func TestReadPressTooLong(t *testing.T) {
	t.Parallel()
	var long []Report
	for range 300 {
		long = append(long, strokes(0x04)...)
	}
	if got, err := ReadPress(t.Context(), &typist{reports: long}); !errors.Is(err, ErrPressTooLong) || got != "" || strings.Contains(err.Error(), "aa") {
		t.Errorf("%d characters, %v", len(got), err)
	}
}

// FuzzReadPress: any reports followed by Enter give printable characters, at most six per report.
func FuzzReadPress(f *testing.F) {
	f.Add([]byte{0, 0, 6, 0, 0, 0, 0, 0})
	f.Add([]byte{2, 0, 0x1e, 0x33, 0x62, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		k := &typist{}
		for ; len(b) >= ReportLen && len(k.reports) < 64; b = b[ReportLen:] {
			k.reports = append(k.reports, Report(b))
		}
		n := len(k.reports)
		k.reports = append(k.reports, Report{}, Report{offUsages: usageEnter})
		got, err := ReadPress(t.Context(), k)
		if err != nil && !errors.Is(err, ErrPressTooLong) || len(got) > 6*n {
			t.Fatalf("%d characters from %d reports, %v", len(got), n, err)
		}
		for _, c := range []byte(got) {
			if c != '\t' && (c < ' ' || c > '~') {
				t.Fatalf("character %02x", c)
			}
		}
	})
}

// TestReadPressOf: a press is as long as is due; what is shorter ends with its Enter, or when nothing follows.
func TestReadPressOf(t *testing.T) {
	t.Parallel()
	const enter, a, b, iso, keypad = usageEnter, 0x04, 0x05, 0x64, usageKeypad
	for _, tc := range []struct {
		name    string
		strokes []byte
		chars   int
		want    string
	}{
		{"with Enter", []byte{a, b, enter}, 2, "ab"},
		{"without Enter", []byte{a, b}, 2, "ab"},
		{"Enter inside", []byte{a, enter, b, enter}, 3, "a\nb"},
		{"Enter inside, none at the end", []byte{a, enter, b}, 3, "a\nb"},
		{"Enter as the last character", []byte{a, b, enter}, 3, "ab\n"},
		{"Enter as the last character, and Enter", []byte{a, b, enter, enter}, 3, "ab\n"},
		{"keypad Enter", []byte{a, b, keypad}, 2, "ab"},
		{"shorter than due", []byte{a, b, enter}, 44, "ab"},
		{"longer than due, with Enter", []byte{a, b, a, b, enter}, 2, "abab"},
		{"only Enter inside", []byte{enter, enter, a}, 3, "\n\na"},
		{"key of ISO keyboards", []byte{a, iso, iso | 0x80, enter}, 3, "a<>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got, err := ReadPressOf(t.Context(), &typist{reports: strokes(tc.strokes...), gap: 20 * time.Millisecond}, tc.chars)
				if err != nil || got != tc.want {
					t.Errorf("%q, %v, want %q", got, err, tc.want)
				}
			})
		})
	}
}
