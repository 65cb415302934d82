package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestNewSpoken(t *testing.T) {
	t.Parallel()
	stream := make([]byte, 256)
	for i := range stream {
		stream[i] = byte(i)
	}
	s, err := NewSpoken(bytes.NewReader(stream), 256)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range spokenAlphabet { // no character is likelier than another
		if n := bytes.Count(s.Reveal(), []byte(string(r))); n != 8 {
			t.Errorf("%c: %d of 256", r, n)
		}
	}
	if _, err := NewSpoken(iotest.ErrReader(io.ErrUnexpectedEOF), CodeLen); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no randomness: %v", err)
	}
	if len(spokenAlphabet) != 32 || strings.ContainsAny(spokenAlphabet, "0O1I") {
		t.Error("the alphabet is not the promised one")
	}
}

func TestNormaliseSpoken(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"7KM4Q-2X9AB": "7KM4Q2X9AB", " 7km4q 2x9ab\n": "7KM4Q2X9AB", "7-K\u20137\u00a0k": "7K7K", "Z": "Z",
		"": "", "-- ": "", "7KM4O": "", "7KM40": "", "1": "", "i": "", "ÄB": "", "7K,M": "", "7KM\xff": "", "ſ": "", "\u212a7": "",
	} {
		got, ok := NormaliseSpoken(typed)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", typed, got, ok)
		}
	}
	for s, want := range map[string]string{"7KM4Q2X9AB": "7KM4Q-2X9AB", "7KM4Q2X9": "7KM4-Q2X9", "7KM4Q2": "7KM-4Q2", "7KM": "7K-M", "7": "7", "": ""} {
		if got := ShowSpoken(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func TestSpellSpoken(t *testing.T) {
	t.Parallel()
	for language, words := range spellings {
		sorted := slices.Compact(slices.Sorted(slices.Values(words)))
		if len(words) != len(spokenAlphabet) || len(sorted) != len(words) {
			t.Errorf("%s: %d words, %d different", language, len(words), len(sorted))
		}
		for i, w := range words {
			if c := spokenAlphabet[i]; c >= 'A' && w[0] != c {
				t.Errorf("%s: %c is %s", language, c, w)
			}
		}
	}
	if got := strings.Join(SpellSpoken("7KM-Z", "en"), " "); got != "seven Kilo Mike Zulu" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(SpellSpoken("2ÜX", "de"), " "); got != "zwei Xanten" {
		t.Errorf("got %s", got)
	}
	if SpellSpoken("7", "fr") != nil || SpellSpoken("", "de") == nil {
		t.Error("what languages there are")
	}
}

// FuzzNormaliseSpoken: what is accepted is made of the alphabet alone, stays as it is when it is shown and typed again, and
// what was drawn always is.
func FuzzNormaliseSpoken(f *testing.F) {
	for _, seed := range []string{"7KM4Q-2X9AB", "7km4 q2x9", "", "O0", "\xff\u2013z", "ABC\u0130"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		n, ok := NormaliseSpoken(typed)
		if ok != (n != "") || strings.Trim(n, spokenAlphabet) != "" || len(n) > len(typed) {
			t.Fatalf("%q: %q, %v", typed, n, ok)
		}
		again, ok := NormaliseSpoken(strings.ToLower(ShowSpoken(n)))
		if again != n || ok != (n != "") {
			t.Fatalf("%q: %q, then %q", typed, n, again)
		}
		drawn, err := NewSpoken(rand.Reader, 1+len(typed)%20)
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := NormaliseSpoken(ShowSpoken(string(drawn.Reveal()))); !ok || back != string(drawn.Reveal()) {
			t.Fatal("a drawn value is not accepted")
		}
	})
}
