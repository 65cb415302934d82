package validate_test

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/validate"
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
