package oathapplet

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestID reads IDs as reference yubikey-otp.md §6.3 does, and gives back what it read.
func TestID(t *testing.T) {
	t.Parallel()
	const totp, hotp = token.TOTP, token.HOTP
	for _, tc := range []struct {
		id   string
		kind token.Kind
		want Account
	}{
		{"dave", totp, Account{Name: "dave", Period: 30 * time.Second}},
		{"Nextcloud:dave", totp, Account{Issuer: "Nextcloud", Name: "dave", Period: 30 * time.Second}},
		{"60/Nextcloud:dave", totp, Account{Issuer: "Nextcloud", Name: "dave", Period: time.Minute}},
		{"1/x", totp, Account{Name: "x", Period: time.Second}},
		{"2147483647/x", totp, Account{Name: "x", Period: MaxPeriod}},
		{"2147483648/x", totp, Account{Name: "2147483648/x", Period: 30 * time.Second}},
		{"30/x", totp, Account{Name: "30/x", Period: 30 * time.Second}},
		{"060/x", totp, Account{Name: "060/x", Period: 30 * time.Second}},
		{"+60/x", totp, Account{Name: "+60/x", Period: 30 * time.Second}},
		{"0/x", totp, Account{Name: "0/x", Period: 30 * time.Second}},
		{"-1/x", totp, Account{Name: "-1/x", Period: 30 * time.Second}},
		{"60/", totp, Account{Name: "60/", Period: 30 * time.Second}},
		{"/x", totp, Account{Name: "/x", Period: 30 * time.Second}},
		{"a/b", totp, Account{Name: "a/b", Period: 30 * time.Second}},
		{"60/x", hotp, Account{Name: "60/x"}},
		{"a:b:c", hotp, Account{Issuer: "a", Name: "b:c"}},
		{":b", hotp, Account{Name: ":b"}},
		{"a:", totp, Account{Name: "a:", Period: 30 * time.Second}},
		{"", totp, Account{Period: 30 * time.Second}},
		{"\xff\x00", hotp, Account{Name: "\xff\x00"}},
	} {
		tc.want.Kind = tc.kind
		if got := ParseID(tc.id, tc.kind); got != tc.want || got.ID() != tc.id {
			t.Errorf("%q: %+v, ID %q; want %+v", tc.id, got, got.ID(), tc.want)
		}
	}
	if id := (Account{Name: "x", Kind: totp}).ID(); id != "x" {
		t.Errorf("no period: %q", id)
	}
}

func FuzzID(f *testing.F) {
	for _, id := range []string{"", "60/a:b", "030/x", ":", "30/30/x", "9999999999999999999999/x", "a:b:c", "\xff/\x00"} {
		f.Add(id, true)
		f.Add(id, false)
	}
	f.Fuzz(func(t *testing.T, id string, timed bool) {
		kind := token.HOTP
		if timed {
			kind = token.TOTP
		}
		a := ParseID(id, kind)
		if a.ID() != id {
			t.Errorf("%q came back as %q", id, a.ID())
		}
		a.Hash, a.Digits = oath.SHA1, 6
		if a.Check() == nil && ParseID(a.ID(), kind).Name != a.Name {
			t.Errorf("%q passed and is read otherwise", id)
		}
	})
}

// TestSupported is one account that fits, and changes of it that do not.
func TestSupported(t *testing.T) {
	t.Parallel()
	v := func(major, minor, patch uint8) ykslot.Version {
		return ykslot.Version{Major: major, Minor: minor, Patch: patch}
	}
	for _, tc := range []struct {
		name   string
		v      ykslot.Version
		change func(*Account)
		n      int
		moving int64
		field  string // of an *AccountError, "firmware" for an *UnsupportedError, "" for nil
	}{
		{"fits", v(1, 0, 1), func(a *Account) {}, 20, 0, ""},
		{"no issuer", v(5, 4, 3), func(a *Account) { a.Issuer = "" }, 20, 0, ""},
		{"no name", v(5, 4, 3), func(a *Account) { a.Name = "" }, 20, 0, "name"},
		{"64 bytes", v(5, 4, 3), func(a *Account) { a.Name = strings.Repeat("n", 54) }, 20, 0, ""},
		{"65 bytes", v(5, 4, 3), func(a *Account) { a.Name = strings.Repeat("n", 55) }, 20, 0, "id"},
		{"64 bytes with a period", v(5, 4, 3), func(a *Account) { a.Name, a.Period = strings.Repeat("n", 52), 60*time.Second }, 20, 0, "id"},
		{"bytes, not letters", v(5, 4, 3), func(a *Account) { a.Name = strings.Repeat("ü", 28) }, 20, 0, "id"},
		{"no UTF-8", v(5, 4, 3), func(a *Account) { a.Name = "\xff" }, 20, 0, "name"},
		{"control character", v(5, 4, 3), func(a *Account) { a.Issuer = "a\x1b[2J" }, 20, 0, "issuer"},
		{"colon in the issuer", v(5, 4, 3), func(a *Account) { a.Issuer = "a:b" }, 20, 0, "id"},
		{"colon in the name", v(5, 4, 3), func(a *Account) { a.Name = "a:b" }, 20, 0, ""},
		{"colon in the name alone", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name = "", "a:b" }, 20, 0, "id"},
		{"issuer like a period", v(5, 4, 3), func(a *Account) { a.Issuer = "60/a" }, 20, 0, "id"},
		{"name like a period", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name = "", "60/a" }, 20, 0, "id"},
		{"name like the usual period", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name = "", "30/a" }, 20, 0, "id"},
		{"name like a period with a zero", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name = "", "060/a" }, 20, 0, "id"},
		{"issuer like no period", v(5, 4, 3), func(a *Account) { a.Issuer = "0/a" }, 20, 0, "id"},
		{"name like a period too long", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name = "", "99999999999/a" }, 20, 0, "id"},
		{"name like a period in other digits", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name = "", "\u0667/a" }, 20, 0, "id"},
		{"name like a period behind one", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name, a.Period = "", "30/a", time.Minute }, 20, 0, ""},
		{"a number and no slash", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name = "", "30" }, 20, 0, ""},
		{"a slash elsewhere", v(5, 4, 3), func(a *Account) { a.Issuer, a.Name = "", "a/30/b" }, 20, 0, ""},
		{"HOTP may", v(5, 4, 3), func(a *Account) { a.Kind, a.Period, a.Issuer = token.HOTP, 0, "60/a" }, 20, 7, ""},
		{"HOTP with a period", v(5, 4, 3), func(a *Account) { a.Kind = token.HOTP }, 20, 0, "period"},
		{"period 0 is 30", v(5, 4, 3), func(a *Account) { a.Period = 0 }, 20, 0, ""},
		{"longest period", v(5, 4, 3), func(a *Account) { a.Period = MaxPeriod }, 20, 0, ""},
		{"longer", v(5, 4, 3), func(a *Account) { a.Period = MaxPeriod + time.Second }, 20, 0, "period"},
		{"half a second", v(5, 4, 3), func(a *Account) { a.Period = 30500 * time.Millisecond }, 20, 0, "period"},
		{"before", v(5, 4, 3), func(a *Account) { a.Period = -time.Second }, 20, 0, "period"},
		{"kind", v(5, 4, 3), func(a *Account) { a.Kind = token.YubicoOTP }, 20, 0, "kind"},
		{"no hash", v(5, 4, 3), func(a *Account) { a.Hash = "" }, 20, 0, "hash"},
		{"5 digits", v(5, 4, 3), func(a *Account) { a.Digits = 5 }, 20, 0, "digits"},
		{"9 digits", v(5, 4, 3), func(a *Account) { a.Digits = 9 }, 20, 0, "digits"},
		{"counter of TOTP", v(5, 4, 3), func(a *Account) {}, 20, 1, "counter"},
		{"counter", v(5, 4, 3), func(a *Account) { a.Kind, a.Period = token.HOTP, 0 }, 20, math.MaxUint32, ""},
		{"counter too high", v(5, 4, 3), func(a *Account) { a.Kind, a.Period = token.HOTP, 0 }, 20, math.MaxUint32 + 1, "counter"},
		{"counter below 0", v(5, 4, 3), func(a *Account) { a.Kind, a.Period = token.HOTP, 0 }, 20, -1, "counter"},
		{"no seed", v(5, 4, 3), func(a *Account) {}, 0, 0, "seed"},
		{"seed of 65 bytes", v(5, 4, 3), func(a *Account) {}, 65, 0, ""},
		{"SHA-512 of 64 bytes", v(5, 4, 3), func(a *Account) { a.Hash = oath.SHA512 }, 64, 0, ""},
		{"SHA-512 of 65 bytes", v(5, 4, 3), func(a *Account) { a.Hash = oath.SHA512 }, 65, 0, "seed"},
		{"SHA-512 of 128 bytes", v(5, 4, 3), func(a *Account) { a.Hash = oath.SHA512 }, 128, 0, "seed"},
		{"SHA-512 of 129 bytes", v(5, 4, 3), func(a *Account) { a.Hash = oath.SHA512 }, 129, 0, ""},
		{"SHA-512 since", v(4, 3, 1), func(a *Account) { a.Hash = oath.SHA512 }, 20, 0, ""},
		{"SHA-512 before", v(4, 3, 0), func(a *Account) { a.Hash = oath.SHA512 }, 20, 0, "firmware"},
		{"SHA-512 on a YubiKey 4 FIPS", v(4, 4, 5), func(a *Account) { a.Hash = oath.SHA512 }, 20, 0, "firmware"},
		{"touch since", v(4, 2, 6), func(a *Account) { a.Touch = true }, 20, 0, ""},
		{"touch before", v(4, 2, 5), func(a *Account) { a.Touch = true }, 20, 0, "firmware"},
	} {
		a := dave()
		tc.change(&a)
		err := Supported(tc.v, a, tc.n, tc.moving)
		var bad *AccountError
		var old *ykslot.UnsupportedError
		got := ""
		switch {
		case errors.As(err, &bad):
			got = bad.Field
		case errors.As(err, &old):
			got = "firmware"
		}
		if got != tc.field || (err == nil) != (tc.field == "") {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.field)
		}
	}
}

// TestInTheWay is the firmware that overwrites a longer ID: 4.0.1 to 4.3.4.
func TestInTheWay(t *testing.T) {
	t.Parallel()
	list := []Account{ParseID("abc", token.TOTP), ParseID("60/abc", token.TOTP)}
	for _, tc := range []struct {
		patch   [3]uint8
		id      string
		replace bool
		want    string
	}{
		{[3]uint8{5, 4, 3}, "ab", false, ""},
		{[3]uint8{5, 4, 3}, "abc", false, "abc"},
		{[3]uint8{5, 4, 3}, "abc", true, ""},
		{[3]uint8{4, 0, 0}, "ab", false, ""},
		{[3]uint8{4, 0, 1}, "ab", false, "abc"},
		{[3]uint8{4, 3, 4}, "ab", true, "abc"},
		{[3]uint8{4, 3, 4}, "abc", true, ""},
		{[3]uint8{4, 3, 4}, "abcd", false, ""},
		{[3]uint8{4, 3, 4}, "60/a", false, "60/abc"},
		{[3]uint8{4, 3, 5}, "ab", false, ""},
		{[3]uint8{1, 0, 1}, "ab", false, ""},
	} {
		err := inTheWay(ykslot.Version{Major: tc.patch[0], Minor: tc.patch[1], Patch: tc.patch[2]}, list, tc.id, tc.replace)
		var e *ExistsError
		if errors.As(err, &e); e != nil && (e.ID != tc.want || e.Prefix != (tc.id != tc.want) || !errors.Is(err, ErrExists)) || (e == nil) != (tc.want == "") {
			t.Errorf("%v %q: %v, want %q", tc.patch, tc.id, err, tc.want)
		}
	}
}
