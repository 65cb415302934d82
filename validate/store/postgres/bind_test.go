package postgres

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNumber(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                                     ``,
		`SELECT 1`:                             `SELECT 1`,
		`a = ? AND b = ?`:                      `a = $1 AND b = $2`,
		`a = ?2 AND b = ?1 AND c = ?`:          `a = $2 AND b = $1 AND c = $3`,
		`a = ?12`:                              `a = $12`,
		`a = '?' AND b = ?`:                    `a = '?' AND b = $1`,
		`a = 'it''s ?' AND "odd?" = ?`:         `a = 'it''s ?' AND "odd?" = $1`,
		`a = 'open ?`:                          `a = 'open ?`,
		`coalesce(x, ';') = ? OR y LIKE '%?%'`: `coalesce(x, ';') = $1 OR y LIKE '%?%'`,
	} {
		if got := number(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// FuzzNumber: what is rewritten has no placeholder of SQLite left outside of quotes, and nothing else of it is changed.
func FuzzNumber(f *testing.F) {
	for _, text := range []string{`a = ? AND b = ?2`, `'?' ?`, `"`, `?999999`, `''?''`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := number(text)
		if again := number(got); again != got {
			t.Errorf("%q: %q, then %q", text, got, again)
		}
		if !strings.ContainsAny(text, "?") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func TestValue(t *testing.T) {
	t.Parallel()
	type kind string
	type number uint32
	for _, tc := range []struct{ in, want any }{
		{true, int64(1)}, {false, int64(0)}, {nil, nil}, {7, int64(7)}, {number(7), int64(7)}, {kind("x"), "x"},
		{"a\x00b\xff\xfec", "a\uFFFDb\uFFFDc"}, {"ü", "ü"},
	} {
		if got := value(tc.in); got != tc.want {
			t.Errorf("%v: got %#v, want %#v", tc.in, got, tc.want)
		}
	}
}

// FuzzClean: PostgreSQL holds the text, and one that it holds is left alone.
func FuzzClean(f *testing.F) {
	for _, text := range []string{"", "a", "\x00", "\xff", "a\xc3", "ü\x00\xffé"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Clean(text)
		if !utf8.ValidString(got) || strings.Contains(got, "\x00") || Clean(got) != got {
			t.Errorf("%q became %q", text, got)
		}
		if utf8.ValidString(text) && !strings.Contains(text, "\x00") && got != text {
			t.Errorf("%q was changed", text)
		}
	})
}
