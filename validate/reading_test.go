package validate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func FuzzReadings(f *testing.F) {
	for _, s := range []string{"", "cccccccccbchbbghjihgbiknuhcgckubkdtcnhncikkt", " VVCCCCCCCCCBJLEHVRCJCEKUVRFUUCNDBFGJKCDNHLJI\r\n", dvorak("vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji"), "123456", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all := validate.Readings(s)
		if len(all) > 2 {
			t.Fatalf("%d readings", len(all))
		}
		for _, r := range all { // the law: writing a reading again gives what was typed
			text := yubiotp.Join(r.PublicID.Bytes(), r.Block)
			if r.Dvorak {
				text = dvorak(text)
			}
			if !strings.EqualFold(text, strings.Trim(s, validate.Space)) {
				t.Errorf("reading %+v", r)
			}
		}
	})
}

// FuzzLayoutReadings: Readings come first, none comes twice, and typing one again on each of its layouts gives what was typed.
func FuzzLayoutReadings(f *testing.F) {
	russian := modhex.Layouts()[slices.IndexFunc(modhex.Layouts(), func(l modhex.Layout) bool { return l.Name == "Russian" })]
	typed, _ := russian.Type("vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji")
	for _, s := range []string{"", typed, "\ufeff" + typed, "VVCCCCCCCCCBJLEHVRCJCEKUVRFUUCNDBFGJKCDNHLJI\r\n", dvorak("vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji"), "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all, plain := validate.LayoutReadings(s), validate.Readings(s)
		if len(all) < len(plain) || len(all) > modhex.MaxVariants {
			t.Fatalf("%d readings, %d of them plain", len(all), len(plain))
		}
		text := strings.Trim(s, validate.Space)
		clean, _ := modhex.Clean(text)
		for i, r := range all {
			if i < len(plain) && (r.PublicID != plain[i].PublicID || r.Block != plain[i].Block) {
				t.Fatal("Readings do not come first")
			}
			if slices.ContainsFunc(all[:i], func(o validate.Reading) bool { return o.PublicID == r.PublicID && o.Block == r.Block }) {
				t.Fatal("a reading comes twice")
			}
			for _, l := range r.Layouts {
				again, ok := l.Type(yubiotp.Join(r.PublicID.Bytes(), r.Block))
				if !ok || !strings.EqualFold(again, text) && !strings.EqualFold(again, clean) {
					t.Fatalf("%s types something else", l)
				}
			}
		}
	})
}
