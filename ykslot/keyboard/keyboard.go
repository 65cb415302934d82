// Package keyboard is what a host makes of key strokes: the layouts for which a static password can be programmed.
//
// A slot stores strokes: a usage code of a USB keyboard, with Shift as bit 80. Which character that is, the layout of the host
// decides. There is no AltGr, no Caps Lock and no dead key in a slot, so a layout has those characters that one key gives,
// alone or with Shift:
//
//	l, ok := keyboard.Lookup("de")
//	strokes, err := l.Encode(password) // error: the place and the kind of a character that cannot be typed
package keyboard

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Shift is the bit of a stroke for Shift. Source: reference yubikey-otp.md §3.7.
const Shift = 0x80

// Layout is one keyboard layout. The zero value types nothing. Its methods may be called concurrently.
type Layout struct {
	Name  string // "de"
	Title string // "German"
	table *table
}

// Lookup finds a layout by its name.
func Lookup(name string) (Layout, bool) {
	for _, l := range layouts() {
		if l.Name == name {
			return l, true
		}
	}
	return Layout{}, false
}

// All are all layouts: "modhex" first.
func All() []Layout { return slices.Clone(layouts()) }

// Stroke is the stroke for a character, or 0 if the layout has none.
func (l Layout) Stroke(r rune) byte {
	if l.table == nil {
		return 0
	}
	return l.table.strokes[r]
}

// Char is the character of a stroke; false if the layout has none for it.
func (l Layout) Char(stroke byte) (rune, bool) {
	if l.table == nil || l.table.chars[stroke] == 0 {
		return 0, false
	}
	return l.table.chars[stroke], true
}

// Alphabet is the ASCII characters to draw a password from, in the order of the strokes: not space, tab and Enter, and none of
// the keys that keyboards have in different places.
func (l Layout) Alphabet() string {
	var b strings.Builder
	for s := range 0x100 {
		c, ok := l.Char(byte(s))
		if u := byte(s) &^ Shift; !ok || u == strokeISO || u == strokeBackslash || l.Stroke(c) != byte(s) {
			continue
		}
		if c > ' ' && c <= unicode.MaxASCII {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// CharError is a character that a layout cannot type. It names the place and the kind of the character, not the character:
// that is part of a password.
type CharError struct {
	Layout string
	Pos    int    // in characters, from 1
	Kind   string // "a lower-case letter outside ASCII"
}

func (e *CharError) Error() string {
	return fmt.Sprintf("character %d, %s, is on no key of the layout %s, alone or with Shift", e.Pos, e.Kind, e.Layout)
}

// Encode gives the strokes of a text in UTF-8. The error is a *CharError. The caller destroys the result.
func (l Layout) Encode(text secret.Bytes) (secret.Bytes, error) {
	in := text.Reveal()
	out := make([]byte, 0, len(in))
	for pos := 1; len(in) > 0; pos++ {
		r, n := utf8.DecodeRune(in)
		s := l.Stroke(r)
		if s == 0 || r == utf8.RuneError {
			clear(out)
			return secret.Bytes{}, &CharError{l.Name, pos, kindOf(r)}
		}
		out, in = append(out, s), in[n:]
	}
	return secret.New(out), nil
}

// Decode gives the text of strokes in UTF-8; strokes without a character are left out. The caller destroys the result.
func (l Layout) Decode(strokes secret.Bytes) secret.Bytes {
	out := make([]byte, 0, utf8.UTFMax*strokes.Len())
	for _, s := range strokes.Reveal() {
		if r, ok := l.Char(s); ok {
			out = utf8.AppendRune(out, r)
		}
	}
	return secret.New(out)
}

// kindOf is the kind of a character in words.
func kindOf(r rune) string {
	kind := "a character"
	switch {
	case r == utf8.RuneError:
		return "which is not valid UTF-8"
	case unicode.IsControl(r):
		kind = "a control character"
	case unicode.IsUpper(r):
		kind = "an upper-case letter"
	case unicode.IsLower(r):
		kind = "a lower-case letter"
	case unicode.IsLetter(r):
		kind = "a letter"
	case unicode.IsDigit(r):
		kind = "a digit"
	case unicode.IsMark(r):
		kind = "a combining mark"
	case unicode.IsSpace(r):
		kind = "a space"
	case unicode.IsPunct(r):
		kind = "a punctuation mark"
	case unicode.IsSymbol(r):
		kind = "a symbol"
	}
	if r > unicode.MaxASCII {
		kind += " outside ASCII"
	}
	return kind
}
