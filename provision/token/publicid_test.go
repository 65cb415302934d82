package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestPublicID(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in, want string
		ok       bool
	}{
		"empty": {"", "", true}, "upper case": {"CCBD", "ccbd", true}, "longest": {strings.Repeat("vu", 16), strings.Repeat("vu", 16), true},
		"too long": {strings.Repeat("c", 34), "", false}, "odd": {"ccc", "", false}, "not ModHex": {"ccca", "", false},
	} {
		p, err := ParsePublicID(tc.in)
		if (err == nil) != tc.ok || p.String() != tc.want || p.Len() != len(tc.want)/2 {
			t.Errorf("%s: %q, %v", name, p, err)
		}
		if err != nil && !errors.Is(err, ErrPublicID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSerialPublicID(t *testing.T) {
	t.Parallel()
	p := SerialPublicID(0x01020304)
	if !bytes.Equal(p.Bytes(), []byte{0xff, 0, 1, 2, 3, 4}) || p.String() != "vvcccbcdcecf" {
		t.Errorf("got %s", p)
	}
	if out, err := json.Marshal(p); err != nil || string(out) != `"vvcccbcdcecf"` {
		t.Errorf("json: %s, %v", out, err)
	}
}

// FuzzPublicID: what is read is written back in lower case.
func FuzzPublicID(f *testing.F) {
	for _, s := range []string{"", "cc", "VVCCCBCDCECF", strings.Repeat("c", 33), "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePublicID(s)
		if err != nil {
			if p != (PublicID{}) {
				t.Fatal("an error with a public ID")
			}
			return
		}
		if q, err := NewPublicID(p.Bytes()); err != nil || q != p || p.String() != strings.ToLower(s) {
			t.Fatalf("%q became %q", s, p)
		}
	})
}

// Source: reference yubikey-otp.md §3.8.
func TestTypedID(t *testing.T) {
	t.Parallel()
	id, err := NewPublicID([]byte{0xe1, 0x63, 0x07, 0x65, 0x43, 0x21})
	if err != nil {
		t.Fatal(err)
	}
	for flags, want := range map[uint8]string{0: "e16307654321", 0x10: "ub6307654321", 0x40: "ubhe07654321", 0x50: "ubhecihgfedb", 0x42: "ubhe07654321"} {
		if got := (Credential{Kind: HOTP, PublicID: id, Settings: Settings{ConfigFlags: flags}}).TypedID(); got != want {
			t.Errorf("%02x: %s, want %s", flags, got, want)
		}
	}
	if got := (Credential{Kind: YubicoOTP, PublicID: id}).TypedID(); got != id.String() {
		t.Errorf("of a Yubico OTP: %s", got)
	}
}
