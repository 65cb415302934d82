package keyboard

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// nothing stands in layouts.txt for a key that types nothing of use, or is dead.
const nothing = '\uFFFD'

// Strokes of keys that are the same on every layout. Source: reference yubikey-otp.md §3.7.
const (
	strokeEnter = 0x28
	strokeTab   = 0x2b
	strokeSpace = 0x2c
)

// layoutText is what the layouts of xkb-data type, made by `go test -run Layouts -update` with testdata/layouts.py: the first line
// names the version of xkb-data; then one line a layout: name, title, and two columns, without and with Shift, of a character for
// each of the usages in columns, separated by tabs.
//
//go:embed layouts.txt
var layoutText string

// columns are the usages of a line's characters: first of a run, and how many. Usage 64, the key that only ISO keyboards have,
// comes last: what another key types too is typed by that one. Usages 31 and 32 are one key, which a slot calls 32. Source:
// reference yubikey-otp.md §3.7.
var columns = []struct{ first, count byte }{{0x04, 36}, {0x2d, 4}, {0x32, 7}, {strokeISO, 1}}

// Keys that are not on every keyboard, or where ISO and ANSI keyboards differ. Source: reference yubikey-otp.md §3.7.
const (
	strokeISO       = 0x64
	strokeBackslash = 0x32
)

// table is what a layout types.
type table struct {
	chars   [0x100]rune // by stroke; 0 for nothing
	strokes map[rune]byte
}

// put gives a stroke to a character, unless it has one already.
func (t *table) put(stroke byte, r rune) {
	t.chars[stroke] = r
	if _, has := t.strokes[r]; !has {
		t.strokes[r] = stroke
	}
}

// layouts is layoutText, read once, and before it the letters that most of them share.
var layouts = sync.OnceValue(func() []Layout { return parse(layoutText) })

func parse(text string) []Layout {
	_, text, _ = strings.Cut(text, "\n")
	list := []Layout{{Name: "modhex", Title: "the letters that most Latin layouts share", table: new(table)}}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		t := &table{strokes: map[rune]byte{'\n': strokeEnter, '\t': strokeTab, ' ': strokeSpace}}
		for r, s := range t.strokes {
			t.chars[s] = r
		}
		plain, shifted := []rune(f[2]), []rune(f[3])
		at := 0
		for _, run := range columns {
			for u := run.first; u < run.first+run.count; u++ {
				if plain[at] != nothing {
					t.put(u, plain[at])
				}
				if shifted[at] != nothing {
					t.put(u|Shift, shifted[at])
				}
				at++
			}
		}
		list = append(list, Layout{Name: f[0], Title: f[1], table: t})
	}
	shared := list[0].table
	shared.strokes = map[rune]byte{}
	for _, r := range modhex.Alphabet + strings.ToUpper(modhex.Alphabet) {
		shared.put(list[1].Stroke(r), r)
	}
	return list
}
