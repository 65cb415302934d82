package wsapi_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// TestLayouts: with Layouts set, an OTP typed on another layout is accepted once and echoed as it came; without, it is no OTP.
// A text with a line break inside is none either way, because an answer is lines.
func TestLayouts(t *testing.T) {
	t.Parallel()
	all := modhex.Layouts()
	russian := all[slices.IndexFunc(all, func(l modhex.Layout) bool { return l.Name == "Russian" })]
	otp := press(t, 3, 1)
	cyrillic, _ := russian.Type(otp)
	newer, _ := russian.Type(press(t, 3, 2))
	for _, tc := range []struct {
		name, otp, status string
		layouts, echoed   bool
	}{
		{"off", cyrillic, "BAD_OTP", false, false},
		{"on", cyrillic, "OK", true, true},
		{"again", strings.ToUpper(otp), "REPLAYED_OTP", true, true},
		{"full width", strings.Map(func(r rune) rune { return r - '!' + '！' }, press(t, 3, 3)), "OK", true, true},
		{"a line break inside", newer[:20] + "\r\n" + newer[20:], "BAD_OTP", true, false},
		{"two alphabets", cyrillic[:20] + otp[10:], "BAD_OTP", true, false},
		{"too long", strings.Repeat(cyrillic, 3), "BAD_OTP", true, false},
		{"not UTF-8", "\xff" + cyrillic, "BAD_OTP", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t)
			s.handler.Verifier.Layouts = tc.layouts
			if tc.name == "again" {
				get(t, serve(t, s.handler)+"id=1&nonce="+nonce+"x&otp="+url.QueryEscape(cyrillic))
			}
			got := get(t, serve(t, s.handler)+"id=1&nonce="+nonce+"&otp="+url.QueryEscape(tc.otp))
			if got.value["status"] != tc.status || (got.value["otp"] == tc.otp) != tc.echoed || !tc.echoed && got.value["otp"] != "" {
				t.Errorf("got %v", got.value)
			}
			if strings.Contains(s.log.String(), tc.otp) {
				t.Error("the text is in the log")
			}
		})
	}
}
