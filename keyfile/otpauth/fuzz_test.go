package otpauth

import (
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/sample"
)

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{reference, "\xEF\xBB\xBF" + reference + "\r\n" + reference, "otpauth://hotp/a?secret=AAAAAAAA&counter=1",
		"otpauth://steam/x?secret=AAAA", "otpauth://totp/%41+b:c:d?issuer=%41+b&secret=a%20a-aaaaaa%3d", "otpauth://", "\x00", "\xFF\xFE"})
}
