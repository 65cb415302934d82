package hidraw

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The two report descriptors of reference yubikey-otp.md §1.2.
const (
	otpDescriptor = `05 01 09 06 a1 01 05 07 19 e0 29 e7 15 00 25 01 75 01 95 08 81 02 95 01 75 08 81 01
		95 05 75 01 05 08 19 01 29 05 91 02 95 01 75 03 91 03 95 06 75 08 15 00 25 65 05 07
		19 00 29 65 81 00 09 03 75 08 95 08 b1 02 c0`
	fidoDescriptor = "06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFirstUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, descriptor string
		page, usage      uint16
		ok               bool
	}{
		{"OTP", otpDescriptor, 0x0001, 0x0006, true},
		{"FIDO", fidoDescriptor, 0xf1d0, 0x0001, true},
		{"usage before page", "0906 0501 a101", 0x0001, 0x0006, true},
		{"extended usage carries the page", "0b06000100 a101", 0x0001, 0x0006, true},
		{"empty", "", 0, 0, false},
		{"no usage before the collection", "0501 a101 0906", 1, 0, false},
		{"no collection", "0501 0906", 0, 0, false},
		{"cut in an item", "0501 06d0", 0, 0, false},
		{"long item", "fe0100 0501 0906 a101", 0, 0, false},
	} {
		page, usage, ok := firstUsage(unhex(t, test.descriptor))
		if page != test.page || usage != test.usage || ok != test.ok {
			t.Errorf("%s: got %04x, %04x, %v, want %04x, %04x, %v", test.name, page, usage, ok, test.page, test.usage, test.ok)
		}
	}
}

// FuzzFirstUsage: never panics, and what follows the first collection does not change the answer.
func FuzzFirstUsage(f *testing.F) {
	for _, seed := range []string{otpDescriptor, fidoDescriptor, "0b06000100a101", "fe0100", "07"} {
		f.Add(unhex(f, seed), []byte{0x05, 0x0c})
	}
	f.Fuzz(func(t *testing.T, descriptor, tail []byte) {
		page, usage, ok := firstUsage(descriptor)
		if !ok {
			return
		}
		longer := append(append([]byte(nil), descriptor...), tail...)
		if p, u, ok := firstUsage(longer); !ok || p != page || u != usage {
			t.Errorf("%x: got %04x, %04x; with tail %x: %04x, %04x, %v", descriptor, page, usage, tail, p, u, ok)
		}
	})
}
