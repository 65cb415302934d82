package keyfile_test

import (
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
)

func TestRowIsCut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		cut        func(*keyfile.Row)
		want       []string
	}{
		{"commas", " a, b ,,c", (*keyfile.Row).Split, []string{"a", "b", "", "c"}},
		{"one", "a;b", (*keyfile.Row).Split, []string{"a;b"}},
		{"three separators", "a;b,c\td;", func(r *keyfile.Row) { r.SplitAt(";,\t") }, []string{"a", "b", "c", "d", ""}},
		{"words", "\ta  b,\"c\" d ", (*keyfile.Row).Words, []string{"a", "b,\"c\"", "d"}},
	} {
		row := &keyfile.Row{Text: []byte(tc.text)}
		tc.cut(row)
		var got []string
		for i := range row.Len() {
			got = append(got, row.Public(i+1))
		}
		if !slices.Equal(got, tc.want) || !row.Ok() {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	quoted := &keyfile.Row{Text: []byte(`a,"b"`)}
	if quoted.Split(); quoted.Ok() {
		t.Error("quotes are taken")
	}
}

func TestFirstRow(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]string{
		"": "", "\n# a\n \n": "", "a": "a", "\xEF\xBB\xBF# a\r\n\n  b c \r\nd": "b c", "#a\nb": "b",
	} {
		if got := string(keyfile.FirstRow([]byte(head))); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

func TestParseBase32(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"MFRGG": "abc", "mf rg-g===": "abc", "MFRGG=\t=": "abc", "MFRGH": "abc", // the last bit means nothing
		"": "-", "=": "-", "M": "-", "MFR": "-", "MFRGG1": "-", "MFR\nGG": "-", "MF=RGG": "-", "MFRGGé": "-",
	} {
		seed, ok := keyfile.ParseBase32([]byte(text))
		if got := string(seed.Reveal()); ok != (want != "-") || ok && got != want {
			t.Errorf("%q: %v, %d bytes", text, ok, len(got))
		}
	}
	if got := string(keyfile.AppendBase32([]byte("x"), []byte("abc"))); got != "xMFRGG" {
		t.Errorf("%s", got)
	}
}
