package modhex

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// digits are the keys beside Alphabet in a column of layouts.txt.
const digits = "0123456789"

// keyCount is the number of characters in a column.
const keyCount = len(Alphabet) + len(digits)

// nothing stands for a key that types nothing, or a control character.
const nothing = '\uFFFD'

// layoutText is what xkb-data's layouts type, made by `go test -run Layouts -update` with testdata/layouts.py: the first line
// names the version of xkb-data; then one line for each distinct layout: columns of keyCount characters without a modifier, with Caps
// Lock and with Shift, and the names, separated by tabs.
//
//go:embed layouts.txt
var layoutText string

// keymaps is layoutText, read once.
var keymaps = sync.OnceValue(func() *tables { return parseLayouts(layoutText) })

// tables are the layouts by what they type.
type tables struct {
	version          string // of xkb-data
	all              []Layout
	letters, figures family
}

func parseLayouts(text string) *tables {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	t := &tables{version: lines[0]}
	type named struct {
		name string
		keys [Shift + 1]*[keyCount]rune
	}
	var list []named
	for _, line := range lines[1:] {
		fields := strings.Split(line, "\t")
		var keys [Shift + 1]*[keyCount]rune
		for i := range keys {
			keys[i] = (*[keyCount]rune)([]rune(fields[i]))
		}
		for _, name := range fields[len(keys):] {
			list = append(list, named{name, keys})
		}
	}
	for level := Plain; level <= Shift; level++ { // the usual level first
		for _, n := range list {
			t.all = append(t.all, Layout{Name: n.name, Level: level, keys: n.keys[level]})
		}
	}
	for _, l := range t.all {
		t.letters.add(l, l.keys[:len(Alphabet)])
		t.figures.add(l, l.keys[len(Alphabet):])
	}
	t.letters.index()
	t.figures.index()
	return t
}

// add puts a layout to its alphabet.
func (f *family) add(l Layout, keys []rune) {
	list := &f.clear
	if slices.Contains(keys, nothing) || repeats(keys) {
		list = &f.unclear
	}
	i := slices.IndexFunc(*list, func(a alphabet) bool { return slices.Equal(a.keys, keys) })
	if i < 0 {
		*list = append(*list, alphabet{keys: keys})
		i = len(*list) - 1
	}
	(*list)[i].layouts = append((*list)[i].layouts, l)
}

func repeats(keys []rune) bool {
	for i, r := range keys {
		if slices.Contains(keys[:i], r) {
			return true
		}
	}
	return false
}

// index fills of.
func (f *family) index() {
	f.of = map[rune]set{}
	put := func(r rune, i int) {
		s := f.of[r]
		s[i/64] |= 1 << (i % 64)
		f.of[r] = s
	}
	for i, a := range f.clear {
		for _, r := range a.keys {
			put(r, i)
			if 'a' <= r && r <= 'z' {
				put(r-'a'+'A', i)
			}
		}
	}
}
