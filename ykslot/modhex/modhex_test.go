package modhex

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// vectors are from reference yubikey-otp.md §4.4; the alphabet row is §4.1.
var vectors = []struct{ hex, modhex string }{
	{"", ""},
	{"74657374", "ifhgieif"},
	{"69b6481c8baba2b60e8f22179b58cd56", "hknhfjbrjnlnldnhcujvddbikngjrtgh"},
	{"0123456789abcdef", "cbdefghijklnrtuv"},
	{"ff0000bc614e", "vvccccnrhbfu"},
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		raw, _ := hex.DecodeString(v.hex)
		if got := EncodeToString(raw); got != v.modhex {
			t.Errorf("encode %s: got %s, want %s", v.hex, got, v.modhex)
		}
		dst := make([]byte, EncodedLen(len(raw)))
		if n := Encode(dst, raw); n != len(dst) || string(dst) != v.modhex {
			t.Errorf("Encode %s: got %d, %s", v.hex, n, dst)
		}
		for _, s := range []string{v.modhex, strings.ToUpper(v.modhex)} {
			got, err := DecodeString(s)
			if err != nil || !bytes.Equal(got, raw) {
				t.Errorf("decode %s: got %x, %v", s, got, err)
			}
			into := make([]byte, len(raw))
			if err := DecodeInto(into, s); err != nil || !bytes.Equal(into, raw) {
				t.Errorf("decode into %s: got %x, %v", s, into, err)
			}
		}
		same := []byte(v.modhex)
		if n, err := Decode(same, same); err != nil || !bytes.Equal(same[:n], raw) {
			t.Errorf("decode in place %s: %v", v.modhex, err)
		}
		if got, err := AppendDecode([]byte{1}, []byte(v.modhex)); err != nil || !bytes.Equal(got[1:], raw) || got[0] != 1 {
			t.Errorf("append decode %s: %x, %v", v.modhex, got, err)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		pos  int // -1: ErrLength
		text string
	}{
		{"c", -1, ""}, {"ccc", -1, ""}, {"a", 0, "character 1 "}, {"ca", 1, "character 2 "}, {"ccac", 2, "character 3 "}, {"cca", 2, ""}, {"cc\xffc", 2, ""}, {"0c", 0, ""},
	} {
		got, err := DecodeString(tc.in)
		var bad InvalidByteError
		switch {
		case got != nil:
			t.Errorf("%q: result %x beside an error", tc.in, got)
		case tc.pos < 0 && !errors.Is(err, ErrLength):
			t.Errorf("%q: %v, want ErrLength", tc.in, err)
		case tc.pos >= 0 && (!errors.As(err, &bad) || bad.Pos != tc.pos):
			t.Errorf("%q: %v, want position %d", tc.in, err, tc.pos)
		case !strings.Contains(err.Error(), tc.text):
			t.Errorf("%q: message %q", tc.in, err)
		}
	}
	if err := DecodeInto(make([]byte, 2), "cc"); err == nil {
		t.Error("two characters filled two bytes")
	}
}

func TestFromDvorak(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in, want string
		ok       bool
	}{
		{"", "", true}, {"jxe.uidchtnbpygk", Alphabet, true}, {"JXE.UIDCHTNBPYGK", Alphabet, true},
		{"cbdefghijklnrtuv", "", false}, {"jj>", "", false}, {"cc", "ii", true},
	} {
		if got, ok := FromDvorak(tc.in); got != tc.want || ok != tc.ok {
			t.Errorf("%q: got %q, %v", tc.in, got, ok)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.modhex)
	}
	f.Add("VVcc")
	f.Add("c")
	f.Add("jx")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := DecodeString(s)
		if err != nil {
			if got != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if EncodeToString(got) != strings.ToLower(s) {
			t.Fatal("encoding again differs")
		}
	})
}
