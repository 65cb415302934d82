package yubiotp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

const key0f = "000102030405060708090a0b0c0d0e0f"

// vectors 1 to 8 are reference yubikey-otp.md §4.4, plain as printed there; those with a "v" are
// validation-protocol.md §19 and have no printed plaintext.
var vectors = []struct {
	name, key, plain, otp string
	publicID              string // hex
	privateID             string
	want                  Token
}{
	{"1", key0f, "010203040506010001000101000036fe", "dvgtiblfkbgturecfllberrvkinnctnn", "", "010203040506", Token{UseCounter: 1, Timestamp: 0x010001, SessionCounter: 1}},
	{"2", key0f, "01020304050601000100010200005211", "rnibcnfhdninbrdebccrndfhjgnhftee", "", "010203040506", Token{UseCounter: 1, Timestamp: 0x010001, SessionCounter: 2}},
	{"3", key0f, "010203040506ff0f0100010100005494", "iikkijbdknrrdhfdrjltvgrbkkjblcbh", "", "010203040506", Token{UseCounter: 0xfff, Timestamp: 0x010001, SessionCounter: 1}},
	{"4", strings.Repeat("88", 16), strings.Repeat("88", 14) + "b6d3", "dcihgvrhjeucvrinhdfddbjhfjftjdei", "", "888888888888", Token{UseCounter: 0x888, CapsFlag: true, Timestamp: 0x888888, SessionCounter: 0x88, Random: 0x8888}},
	{"5", strings.Repeat("00", 16), strings.Repeat("00", 14) + "6aa9", "kkkncjnvcnenkjvjgncjihljiibgbhbh", "", "000000000000", Token{}},
	{"6", "c4422890653076cde73d449b191b416a", "33c69e7f249e0100a71324003cc6861c", "iucvrkjiegbhidrcicvlgrcgkgurhjnj", "", "33c69e7f249e", Token{UseCounter: 1, Timestamp: 0x2413a7, Random: 0xc63c}},
	{"7", "ecde18dbe76fbd0c33330f1c354871db", "8792ebfe26cc130030c20011c89f23c8", "dteffujehknhfjbrjnlnldnhcujvddbikngjrtgh", "2d344e83", "8792ebfe26cc", Token{UseCounter: 0x13, Timestamp: 0x00c230, SessionCounter: 0x11, Random: 0x9fc8}},
	{"8", "c68c9df8cbfe7d2f994cb904046c7218", "609963eae7b50100408d0f004754f957", "idkfefrdhtrutjduvtcjbfeuvhehdvjjlbchtlenfgku", "729434c26dce", "609963eae7b5", Token{UseCounter: 1, Timestamp: 0x0f8d40, Random: 0x5447}},
	{"v3", "30313233343536373839616263646566", "", "cclngiuvttkhthcilurtkerbjnnkljfkjccklkhl", "00ab57ef", "0123456789ab", Token{UseCounter: 5, Timestamp: 0x0153f8}},
	{"v4", "d27aa807a7aceec8b61187d5497b509d", "", "vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji", "ff0000000001", "587501bcf859", Token{UseCounter: 1, Timestamp: 0x0003e8}},
	{"v5", "00112233445566778899aabbccddeeff", "", "cccccccccbchbbghjihgbiknuhcgckubkdtcnhncikkt", "000000000106", "0a0b0c0d0e0f", Token{UseCounter: 5, Timestamp: 0x0003e8}},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newCipher(t testing.TB, key, privateID string) Cipher {
	t.Helper()
	c, err := NewCipher(secret.New(unhex(t, key)), secret.New(unhex(t, privateID)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			id, block, err := Split(v.otp)
			if err != nil || hex.EncodeToString(id) != v.publicID {
				t.Fatalf("public ID %x, %v", id, err)
			}
			c := newCipher(t, v.key, v.privateID)
			got, verdict := c.Open(block)
			want := v.want
			if v.plain == "" { // the tables do not print the random field of these
				want.Random = got.Random
			}
			if verdict != OK || got != want {
				t.Fatalf("%v: got %+v, want %+v", verdict, got, want)
			}
			if again := Join(id, c.Seal(got)); again != v.otp {
				t.Errorf("sealed again: %s, want %s", again, v.otp)
			}
			if v.plain == "" {
				return
			}
			var plain [BlockLen]byte
			got.Marshal(&plain, (*[PrivateIDLen]byte)(unhex(t, v.privateID)))
			if hex.EncodeToString(plain[:]) != v.plain {
				t.Errorf("plain %x, want %s", plain, v.plain)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	v := vectors[7]
	_, good, _ := Split(v.otp)
	_, corrupt, _ := Split("tjduvtcjbfeuvhehdvjjlbchtlenfgkv") // vector 9
	destroyed := newCipher(t, v.key, v.privateID)
	destroyed.Destroy()
	destroyed.Destroy()
	for _, tc := range []struct {
		name    string
		c       Cipher
		block   [BlockLen]byte
		verdict Verdict
		token   Token
	}{
		{"vector 9, corrupt", newCipher(t, v.key, v.privateID), corrupt, BadCRC, Token{}},
		{"other key", newCipher(t, key0f, v.privateID), good, BadCRC, Token{}},
		{"other private ID", newCipher(t, v.key, "609963eae7b6"), good, WrongPrivateID, v.want},
		{"zero cipher", Cipher{}, good, BadCRC, Token{}},
		{"destroyed cipher", destroyed, good, BadCRC, Token{}},
	} {
		if got, verdict := tc.c.Open(tc.block); verdict != tc.verdict || got != tc.token {
			t.Errorf("%s: %v, %+v", tc.name, verdict, got)
		}
	}
	for _, n := range []int{0, 15, 24} {
		if _, err := NewCipher(secret.New(make([]byte, n)), secret.New(make([]byte, PrivateIDLen))); err == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
	if _, err := NewCipher(secret.New(make([]byte, KeyLen)), secret.Bytes{}); err == nil {
		t.Error("an empty private ID was taken")
	}
}

func TestSplitErrors(t *testing.T) {
	t.Parallel()
	block := strings.Repeat("c", 32)
	for _, tc := range []struct {
		otp string
		pos int // -1: ErrLength; -2: no error
	}{
		{"", -1}, {block[1:], -1}, {block, -2}, {"v" + block, -1}, {block + block, -2}, {"cc" + block + block, -1},
		{"a" + block[1:], 0}, {"cc" + block[1:] + "a", 33}, {strings.ToUpper(block), -2},
	} {
		_, _, err := Split(tc.otp)
		var bad modhex.InvalidByteError
		switch {
		case tc.pos == -2 && err != nil, tc.pos == -1 && !errors.Is(err, ErrLength), tc.pos >= 0 && (!errors.As(err, &bad) || bad.Pos != tc.pos):
			t.Errorf("%d characters: %v", len(tc.otp), err)
		}
	}
}

func TestCRC16(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]uint16{ // reference yubikey-otp.md §3.10
		"0001020304": 0xf5c7, "fe": 0x1176, "55aa00ff": 0xcbb5, "01020304": 0xc66e,
		"010203040506307500093dfa60ea": 0x8a0b, strings.Repeat("00", 64): 0x5b6b,
	} {
		if got := CRC16(unhex(t, in)); got != want {
			t.Errorf("%s: got %04x, want %04x", in, got, want)
		}
	}
}

func TestBefore(t *testing.T) {
	t.Parallel()
	a := Token{UseCounter: 1, SessionCounter: 255, Timestamp: 9}
	for _, tc := range []struct {
		b    Token
		want bool
	}{
		{a, false}, {Token{UseCounter: 2}, true}, {Token{UseCounter: 1, SessionCounter: 254, Timestamp: 10}, false}, {Token{SessionCounter: 255}, false},
	} {
		if a.Before(tc.b) != tc.want {
			t.Errorf("%v before %v", a, tc.b)
		}
	}
}

func TestNothingPrints(t *testing.T) {
	t.Parallel()
	const id = "SECRET"
	c := newCipher(t, hex.EncodeToString([]byte("SuperSecretKey16")), hex.EncodeToString([]byte(id)))
	token, _ := c.Open(c.Seal(Token{UseCounter: 7}))
	type holder struct {
		c     Cipher
		token Token
	}
	h := holder{c, token}
	leaks := []string{"SECRET", "Super", fmt.Sprintf("%x", id), fmt.Sprintf("%X", id), strings.Trim(fmt.Sprint([]byte(id)), "[]"), "0x53, 0x45"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p", "% x", "%c"} {
		for _, v := range []any{c, &c, token, &token, h, &h} {
			out := fmt.Sprintf(verb, v)
			for _, leak := range leaks {
				if strings.Contains(out, leak) {
					t.Errorf("%s of %T shows the secret: %s", verb, v, out)
				}
			}
		}
	}
}

func TestOpenAllocatesNothing(t *testing.T) {
	c := newCipher(t, key0f, "010203040506")
	_, block, _ := Split(vectors[0].otp)
	if n := testing.AllocsPerRun(100, func() {
		if _, v := c.Open(block); v != OK {
			t.Error(v)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOpen(b *testing.B) {
	c := newCipher(b, key0f, "010203040506")
	_, block, _ := Split(vectors[0].otp)
	b.ReportAllocs()
	for b.Loop() {
		c.Open(block)
	}
}

// FuzzParse: what parses gives the same bytes again.
func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(unhex(f, v.plain))
	}
	f.Add(make([]byte, BlockLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 14 {
			return
		}
		var plain, again [BlockLen]byte
		copy(plain[:], b)
		token, ok := Parse(&plain)
		if !ok {
			if token != (Token{}) {
				t.Fatal("token beside a bad CRC")
			}
			crc := ^CRC16(plain[:14])
			plain[14], plain[15] = byte(crc), byte(crc>>8)
			if token, ok = Parse(&plain); !ok {
				t.Fatal("a corrected CRC was refused")
			}
		}
		if token.Marshal(&again, (*[PrivateIDLen]byte)(plain[:])); again != plain {
			t.Fatal("marshalling again differs")
		}
	})
}

// FuzzSplit: what splits joins to the same text.
func FuzzSplit(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.otp)
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, block, err := Split(s)
		if err != nil {
			if id != nil {
				t.Fatal("public ID beside an error")
			}
			return
		}
		if Join(id, block) != strings.ToLower(s) {
			t.Fatal("joining again differs")
		}
	})
}
