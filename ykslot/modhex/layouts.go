package modhex

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxVariants bounds the ways in which one text is read. On the layouts of layouts.txt a random OTP has at most 4, and no text of two
// different characters more than 13.
const MaxVariants = 200

// maxRunes is the longest text that is read by layouts, in characters: the longest OTP has 64.
const maxRunes = 64

// Level is which modifier was on when the keys were typed.
type Level int

// The levels.
const (
	Plain Level = iota
	CapsLock
	Shift
)

// String is what to add to a layout's name.
func (l Level) String() string { return []string{"", "Caps Lock", "Shift"}[l] }

// Layout is a keyboard layout with a modifier. A key sends positions; the host's layout makes characters of them.
type Layout struct {
	Name  string // of xkb-data: "English (Dvorak)"
	Level Level
	keys  *[keyCount]rune
}

// String names it: "Russian, Caps Lock".
func (l Layout) String() string {
	if l.Level == Plain {
		return l.Name
	}
	return l.Name + ", " + l.Level.String()
}

// Type is what a key that types the ModHex letters and digits of text produces on this layout. False for other characters and
// for a key that types nothing.
func (l Layout) Type(text string) (string, bool) {
	var b strings.Builder
	for i := range len(text) {
		k := strings.IndexByte(Alphabet+digits, text[i])
		if k < 0 || l.keys == nil || l.keys[k] == nothing {
			return "", false
		}
		b.WriteRune(l.keys[k])
	}
	return b.String(), true
}

// Variant is one way to read a text, and the layouts that would have made the text of it, in the order of xkb-data.
type Variant struct {
	Text    string
	Layouts []Layout
}

// Names lists layouts in words, those of a whole language before their variants: the first few, and how many more.
func Names(list []Layout) string {
	const most = 3
	var names []string
	for _, l := range list {
		if !slices.Contains(names, l.String()) {
			names = append(names, l.String())
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return strings.Count(a, "(") - strings.Count(b, "(") })
	text := strings.Join(names[:min(most, len(names))], " or ")
	if more := len(names) - most; more > 0 {
		text += " or one of " + strconv.Itoa(more) + " others"
	}
	return text
}

// Variants reads text as ModHex typed on every known layout: as it stands first, then the others in the order of xkb-data, each
// ModHex text once. A layout on which two of the sixteen keys type the same, or one types nothing, is left out: see Unclear. The
// case of ASCII letters does not count. Which reading is right only a decryption can tell.
func Variants(text string) []Variant { return keymaps().letters.read(text, Alphabet) }

// DigitVariants is as Variants for the ten keys of the digit row, as a key that types HOTP codes uses them.
func DigitVariants(text string) []Variant { return keymaps().figures.read(text, digits) }

// Unclear are the layouts on which ModHex may have become this text, but from which no one can tell what it was.
func Unclear(text string) []Layout {
	if text == "" || utf8.RuneCountInString(text) > maxRunes {
		return nil
	}
	var out []Layout
	for _, a := range keymaps().letters.unclear {
		if !strings.ContainsFunc(text, func(r rune) bool { return !slices.Contains(a.keys, r) }) {
			out = append(out, a.layouts...)
		}
	}
	return out
}

// Layouts are all layouts with their levels, in the order of xkb-data.
func Layouts() []Layout { return slices.Clone(keymaps().all) }

// alphabet is what some keys type, in the order of their values, and on which layouts.
type alphabet struct {
	keys    []rune
	layouts []Layout
}

// value is which key types r, or its lower case; -1: none.
func (a alphabet) value(r rune) (v int, folded bool) {
	if v = slices.Index(a.keys, r); v >= 0 {
		return v, false
	}
	if 'A' <= r && r <= 'Z' {
		return slices.Index(a.keys, r+'a'-'A'), true
	}
	return -1, false
}

// family is the alphabets of some keys.
type family struct {
	clear, unclear []alphabet
	of             map[rune]set // in which clear alphabets a character is, also by its lower case
}

// set is a set of clear alphabets, one bit each.
type set [6]uint64

// read finds the alphabets that have every character and gives the text in values.
func (f *family) read(text, values string) []Variant {
	if text == "" || len(text) > maxRunes*utf8.UTFMax {
		return nil
	}
	var in set
	for i := range in {
		in[i] = ^uint64(0)
	}
	runes := 0
	for _, r := range text {
		has, ok := f.of[r]
		if runes++; !ok || runes > maxRunes || !in.and(&has) {
			return nil
		}
	}
	var direct, folded []Variant
	for i, a := range f.clear {
		if in[i/64]>>(i%64)&1 == 0 {
			continue
		}
		v, fold := a.read(text, values)
		if fold {
			folded = add(folded, v)
		} else {
			direct = add(direct, v)
		}
	}
	for _, v := range folded {
		if !slices.ContainsFunc(direct, func(d Variant) bool { return d.Text == v.Text }) {
			direct = append(direct, v)
		}
	}
	same := func(v Variant) bool { return v.Text == lower(text) }
	if i := slices.IndexFunc(direct, same); i > 0 {
		v := direct[i]
		direct = slices.Insert(slices.Delete(direct, i, i+1), 0, v)
	}
	return direct[:min(len(direct), MaxVariants)]
}

// and keeps what is in both, and reports whether anything is.
func (s *set) and(t *set) bool {
	var any uint64
	for i := range s {
		s[i] &= t[i]
		any |= s[i]
	}
	return any != 0
}

// read is the variant of a text whose characters a has.
func (a alphabet) read(text, values string) (Variant, bool) {
	out := make([]byte, 0, maxRunes)
	any := false
	for _, r := range text {
		v, folded := a.value(r)
		out, any = append(out, values[v]), any || folded
	}
	return Variant{string(out), a.layouts}, any
}

// add appends v, or its layouts to the one that reads the same.
func add(list []Variant, v Variant) []Variant {
	for i, there := range list {
		if there.Text == v.Text {
			list[i].Layouts = append(slices.Clip(there.Layouts), v.Layouts...)
			return list
		}
	}
	return append(list, v)
}

// lower folds ASCII letters and nothing else: folding a dotted capital I by Unicode gives two characters.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
