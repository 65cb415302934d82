package ykslot

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestParseTokenID are the forms of reference yubikey-otp.md §3.8.
func TestParseTokenID(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text   string
		serial uint32
		bytes  string
		modhex int
		flags  ConfigFlag
		fails  string
	}{
		{text: ""},
		{text: "-", serial: 7654321, bytes: "e16307654321", modhex: 2, flags: FixedModHex2},
		{text: "ubhe", serial: 99999999, bytes: "e16399999999", modhex: 2, flags: FixedModHex2},
		{text: "12345678", bytes: "e16312345678", modhex: 2, flags: FixedModHex2},
		{text: "ub1212345678", bytes: "e11212345678", modhex: 1, flags: FixedModHex1},
		{text: "121212345678", bytes: "121212345678"},
		{text: "1234", serial: 1, bytes: "123400000001"},
		{text: "ubhecbdefghi", bytes: "e16301234567", modhex: 6, flags: FixedModHex1 | FixedModHex2},
		{text: "cbdefghi", bytes: "e16301234567", modhex: 6, flags: FixedModHex1 | FixedModHex2},
		{text: "UBHE12345678", bytes: "e16312345678", modhex: 2, flags: FixedModHex2},
		{text: "-", fails: "serial number"},
		{text: "-", serial: 100000000, fails: "serial number"},
		{text: "12he12345678", fails: "come before"},
		{text: "ub12cbdefghi", fails: "come before"},
		{text: "ubxe12345678", fails: "characters 3 to 4"},
		{text: "ubhe1234567c", fails: "characters 5 to 12"},
		{text: "ubhe1", fails: "12 characters"},
		{text: strings.Repeat("c", 13), fails: "12 characters"},
	} {
		id, err := ParseTokenID(tc.text, tc.serial)
		if tc.fails != "" {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.fails) || id.Bytes != nil {
				t.Errorf("%q: %v", tc.text, err)
			}
			continue
		}
		f, ferr := id.flags()
		if err != nil || ferr != nil || fmt.Sprintf("%x", id.Bytes) != tc.bytes || id.ModHex != tc.modhex || f != tc.flags {
			t.Errorf("%q: %x %d %v, %v %v", tc.text, id.Bytes, id.ModHex, f, err, ferr)
		}
		if len(tc.text) == 12 && id.String() != strings.ToLower(tc.text) {
			t.Errorf("%q types %q", tc.text, id)
		}
	}
}

// FuzzTokenID: what parses is what a slot can type, and a configuration gives it back.
func FuzzTokenID(f *testing.F) {
	for _, s := range []string{"", "-", "ubhe", "12345678", "ubhe12345678", "cbdefghijkln"} {
		f.Add(s, uint32(7654321))
	}
	f.Fuzz(func(t *testing.T, text string, serial uint32) {
		id, err := ParseTokenID(text, serial)
		if err != nil {
			if id.Bytes != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		c, err := HOTP{TokenID: id, Seed: hexSecret(t, seedF)}.Config()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if back := c.TokenID(); back.String() != id.String() || len(id.String()) != 2*len(id.Bytes) || len(text) == 12 && id.String() != strings.ToLower(text) {
			t.Fatalf("%q: %q, %q", text, id, back)
		}
	})
}
