package paper_test

import (
	"bytes"
	"encoding/xml"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"github.com/tokendesk/tokendesk/provision/paper"
)

// FuzzReceipt: whatever a person is called, no line of the text is too long or holds what steers a printer. PDFs and labels take too long for a
// fuzzer: see TestOddNames.
func FuzzReceipt(f *testing.F) {
	p := open(f, nil)
	f.Add("Łukasz Ελένη", "lmueller", "a note", uint8(0))
	f.Add("李小龍\u202e\x1b[31m", strings.Repeat("x", 400), "[cut]\n# x", uint8(7))
	f.Add("\xff\u0301\u00a0 \u3000", "", "{{.}} ::", uint8(10))
	f.Fuzz(func(t *testing.T, name, account, note string, bits uint8) {
		r := sample()
		r.Name, r.Account, r.Note, r.Language = name, account, note, paper.Languages()[bits&1]
		r.Copy, r.Pending, r.Token.StockNumber = bits&2 > 0, bits&4 > 0, note
		if bits&8 > 0 {
			r.Way = paper.Shipped
		}
		got := text(t, p, r, paper.Roll)
		if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) }) {
			t.Fatalf("%q", got)
		}
		for line := range strings.Lines(got) {
			if len([]rune(line)) > 43 && !strings.ContainsFunc(line, func(r rune) bool { return unicode.In(r, unicode.Mn, unicode.Me) }) {
				t.Fatalf("%q", line)
			}
		}
		if parts := strings.Count(got, "\n- - - "); parts != 1 {
			t.Fatalf("%d cuts in\n%s", parts, got)
		}
	})
}

// TestOddNames: PDFs and labels of names that are drawn from all of Unicode.
func TestOddNames(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		var name strings.Builder
		for range rng.IntN(120) {
			name.WriteRune(rune(rng.IntN([]int{0x80, 0x600, 0x3000, 0x11000, 0x20000}[rng.IntN(5)])))
		}
		r := sample()
		r.Name, r.Token.StockNumber, r.Language = name.String(), name.String(), "de"
		if b := pdf(t, p, r, paper.A5); !bytes.HasPrefix(b, []byte("%PDF")) || len(b) > 1<<20 {
			t.Fatalf("%q: %d bytes", name.String(), len(b))
		}
		r.Token.StockNumber = string([]rune(name.String())[:min(20, len([]rune(name.String())))])
		var label bytes.Buffer
		if err := p.LabelSVG(&label, paper.Stickers{Layout: "dymo-11354"}, paper.Label{Subject: r.Token}); err != nil {
			t.Fatalf("%q: %v", name.String(), err)
		}
		if err := xml.NewDecoder(&label).Decode(new(struct{})); err != nil {
			t.Fatalf("%q: %v", name.String(), err)
		}
	}
}
