package otpauth

import (
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// FuzzDecode holds the law that what is not refused comes back from a second URI as it was.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{reference, "\xEF\xBB\xBF" + reference + "\r\n" + reference, "otpauth://hotp/a?secret=AAAAAAAA&counter=1",
		"otpauth://steam/x?secret=AAAA", "otpauth://totp/%41+b:c:d?issuer=%41+b&secret=a%20a-aaaaaa%3d", "otpauth://", "\x00", "\xFF\xFE"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		recs, _ := sample.Decode(Codec{}, text)
		for _, rec := range recs {
			uri, err := Format(rec)
			if err != nil {
				continue
			}
			again, err := Parse(uri.Reveal())
			if err != nil || len(keyfile.Differences(again, rec)) > 0 {
				t.Errorf("%v: %v in %s", err, keyfile.Differences(again, rec), uri.Reveal())
			}
		}
	})
}
