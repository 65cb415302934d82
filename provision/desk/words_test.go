package desk

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
)

// FuzzWords: what is kept is found by its own text, in the case that it has and in the other, and a word that was folded is folded
// already.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"Müller", "Mu\u0308ller-Lüdenscheidt", "4711-0032", "O’Brien", "İpek", "ＡＢＣ", "", " - ", "王小明", "a\x00b", "ﬁ", "ẞ", "üǼü\x00\x01", "üǾü", "Ǖǻ", "a\u030a\u0308", strings.Repeat("ü", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		kept := PersonWords(token.Person{Account: text})
		for _, chunk := range strings.Fields(text) {
			forms := termForms(chunk)
			for _, form := range forms {
				if !slices.Contains(kept, form) {
					t.Errorf("%q is kept as %q, not as %q", text, kept, form)
				}
				if again := termForms(form); len(again) != 1 || again[0] != form {
					t.Errorf("%q folds to %q, and that to %q", chunk, form, again)
				}
			}
		}
	})
}

// FuzzParseSearch: a query has terms or public IDs, or is one that finds nothing; a public ID to begin with is one of ModHex.
func FuzzParseSearch(f *testing.F) {
	for _, s := range []string{"anna müller", "vvcc", "cccccccccccccccccccccccccccccccc", "ccccccbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbc", "cbdé", "%", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q := parseSearch(text)
		for _, term := range q.Terms {
			if len(term.Forms) == 0 || len(term.Forms) > 2 || slices.Contains(term.Forms, "") {
				t.Errorf("%q: %q", text, term)
			}
			if term.PublicID != "" && (len(term.PublicID) < minPublicID || strings.Trim(term.PublicID, "cbdefghijklnrtuv") != "") {
				t.Errorf("%q: public ID %q", text, term.PublicID)
			}
		}
	})
}

// TestEveryLetterFolds: no letter, nor one with two accents, folds to what folds on.
func TestEveryLetterFolds(t *testing.T) {
	t.Parallel()
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if !unicode.In(r, unicode.L, unicode.N, unicode.M) {
			continue
		}
		for _, form := range termForms("ü" + string(r) + "\u0308\u0301") {
			if again := termForms(form); len(again) != 1 || again[0] != form {
				t.Errorf("%U folds to %q, and that to %q", r, form, again)
			}
		}
	}
}
