package modhex

import (
	"slices"
	"strings"
	"unicode"
)

// What Clean takes away or replaces, in words.
const (
	Invisible = "invisible characters"
	Spaces    = "special spaces"
	FullWidth = "full-width characters"
	LineBreak = "a line break"
	Blanks    = "blanks"
	TurkishI  = "a Turkish i"
)

// Clean undoes what input methods, clipboards and foreign case rules do to a text: full-width characters become ASCII, white
// space and invisible characters are dropped, the Turkish dotted I and the dot that is left of its lower case become i. It names
// what it did, without repetition, in the order of the text.
func Clean(text string) (clean string, changes []string) {
	var b strings.Builder
	var last rune
	for _, r := range text {
		to, what := cleanRune(r, last)
		last = r
		if to >= 0 {
			b.WriteRune(to)
		}
		if what != "" && !slices.Contains(changes, what) {
			changes = append(changes, what)
		}
	}
	return b.String(), changes
}

// cleanRune is what becomes of r after last, -1 for nothing, and in words why.
func cleanRune(r, last rune) (rune, string) {
	switch {
	case r >= '\uFF01' && r <= '\uFF5E': // full-width forms of '!' to '~'
		return r - '\uFF01' + '!', FullWidth
	case r == '\n' || r == '\r' || r == '\v' || r == '\f' || r == '\u0085' || r == '\u2028' || r == '\u2029':
		return -1, LineBreak
	case r == ' ' || r == '\t':
		return -1, Blanks
	case unicode.IsSpace(r):
		return -1, Spaces
	case r == '\u0130':
		return 'i', TurkishI
	case r == '\u0307' && (last == 'i' || last == 'I'):
		return -1, TurkishI
	case r == '\u00AD' || r >= '\uFE00' && r <= '\uFE0F' || unicode.Is(unicode.Cf, r): // soft hyphen, variation selectors
		return -1, Invisible
	}
	return r, ""
}
