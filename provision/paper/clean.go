package paper

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// guard stands in front of what comes from persons and files while a template is filled in: a line that begins with it is no
// markup, whatever follows. It never reaches paper.
const guard = '\ue000'

// missing is what a character is drawn as that the font of a PDF lacks.
const missing = '□'

// clean neutralises: control, formatting and bidirectional characters, private ones, and what is not UTF-8. White space is one blank. The rest is
// composed, so that fonts find an accented letter whole.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, s)
	return norm.NFC.String(strings.Join(strings.Fields(s), " "))
}

// foreign is clean behind a guard; "" stays "". What is longer than most bytes is cut, so that a page has an end.
func foreign(s string) string {
	if s = clean(s); s == "" {
		return ""
	}
	if len(s) > maxFact {
		cut := maxFact
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return string(guard) + s
}

// maxFact is the longest text of a fact, in bytes.
const maxFact = 300

// unguard takes the guards away.
func unguard(s string) string { return strings.ReplaceAll(s, string(guard), "") }

// straight reports whether a character is set from left to right without joining its neighbours: what this package can draw in a PDF.
func straight(r rune) bool {
	return unicode.In(r, unicode.Common, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Georgian,
		unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo)
}
