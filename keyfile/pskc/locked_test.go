package pskc

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

func hmacSHA1(key, message []byte) []byte {
	m := hmac.New(sha1.New, key)
	m.Write(message)
	return m.Sum(nil)
}

func everyHash() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{"sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}
}

// Every scheme with every length of seed, every MAC and every way to pad and to place them.
func TestEverySchemeOpens(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	for scheme, size := range map[string]int{"aes128-cbc": 16, "aes192-cbc": 24, "aes256-cbc": 32, "tripledes-cbc": 24,
		"kw-aes128": 16, "kw-aes192": 24, "kw-aes256": 32, "kw-aes-128-pad": 16} {
		for name, h := range everyHash() {
			for _, where := range []string{"", "beside", "none"} {
				for seedSize := 1; seedSize <= 64; seedSize += 3 {
					b := newBox()
					b.scheme, b.key, b.mac, b.where = scheme, draw(size), h, where
					b.macURI, b.macKey = "http://www.w3.org/2001/04/xmldsig-more#hmac-"+name, draw(16+r.IntN(49))
					if r.IntN(4) == 0 {
						b.macKey = nil
					}
					seed := draw(seedSize)
					text := b.file(seed)
					if where == "none" && !strings.HasPrefix(scheme, "kw-") {
						assertRow(t, scheme+" without a MAC", unlocked(b.key, nil), text, "without a MAC")
						continue
					}
					if rec := seedOf(t, unlocked(b.key, nil), scheme+" "+name+" "+where, text); !bytes.Equal(rec.Key.Reveal(), seed) {
						t.Fatalf("%s, %s, %q, %d bytes: another seed", scheme, name, where, seedSize)
					}
				}
			}
		}
	}
}

// assertRow wants one *keyfile.RowError with that cause and no record.
func assertRow(t *testing.T, name string, r keyfile.Reader, text, cause string) {
	t.Helper()
	recs, errs := sample.Decode(r, text)
	var bad *keyfile.RowError
	if len(recs) != 0 || len(errs) != 1 || !errors.As(errs[0], &bad) || !strings.Contains(bad.Cause, cause) || bad.Line < 1 {
		t.Errorf("%s: %d records, %v, want %q", name, len(recs), errs, cause)
	}
}

// The last byte counts (XML Encryption), and a vendor leaves secrets of whole blocks as they are.
func TestPaddings(t *testing.T) {
	t.Parallel()
	long, _ := hex.DecodeString(sample.SeedDave)
	inDoubt := append(bytes.Repeat([]byte{7}, 16), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 5)
	for _, tc := range []struct {
		name string
		pad  func([]byte, int) []byte
		seed []byte
		ok   bool
	}{
		{"PKCS #7", pkcs7, long[:20], true}, {"PKCS #7, a block more", pkcs7, long, true}, {"random filler", xmlenc, long[:20], true},
		{"random filler, a block more", xmlenc, long, true}, {"random filler, 17 bytes", xmlenc, long[:17], false},
		{"none, 32 bytes", unchanged, long, true}, {"none, 16 bytes", unchanged, long[:16], true}, {"none, in doubt", unchanged, inDoubt, false},
	} {
		b := newBox()
		b.pad = tc.pad
		if tc.name == "none, 16 bytes" {
			b.macKey = long[:16] // the MAC key is left unpadded too
		} else if tc.name[:4] == "none" {
			b.macKey = append(long[:31:31], 3) // and reads like a padded one
		}
		if !tc.ok {
			assertRow(t, tc.name, unlocked(b.key, nil), b.file(tc.seed), "padding")
			continue
		}
		if rec := seedOf(t, unlocked(b.key, nil), tc.name, b.file(tc.seed)); !bytes.Equal(rec.Key.Reveal(), tc.seed) {
			t.Errorf("%s: another seed of %d bytes", tc.name, rec.Key.Len())
		}
	}
}

// Vectors of RFC 3394 §4.1, §4.6 and RFC 5649 §6.
func TestUnwrapVectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ key, data, want string }{
		{"000102030405060708090A0B0C0D0E0F", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5", "00112233445566778899AABBCCDDEEFF"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F"},
		{"5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a", "c37b7e6492584340bed12207808941155068f738"},
		{"5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "afbeb0f07dfbf5419200f2ccb50bb24f", "466f7250617369"},
	} {
		key, data, want := sample.Hex(tc.key), sample.Hex(tc.data), sample.Hex(tc.want)
		block, err := aes.NewCipher(key.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		got, ok := unwrap(block, data.Reveal())
		if !ok || !bytes.Equal(got, want.Reveal()) {
			t.Errorf("%s: %v, %d bytes", tc.data, ok, len(got))
		}
		if sealed := wrap(block, want.Reveal()); !bytes.Equal(sealed, data.Reveal()) {
			t.Errorf("the test wraps %s otherwise", tc.want)
		}
		for i := range data.Reveal() {
			changed := bytes.Clone(data.Reveal())
			changed[i] ^= 1
			if _, ok := unwrap(block, changed); ok {
				t.Errorf("%s: byte %d changed and nobody noticed", tc.data, i)
			}
		}
	}
}

// The length of RFC 5649 must be the one that was wrapped, and the filler zeros.
func TestUnwrapLengths(t *testing.T) {
	t.Parallel()
	block, err := aes.NewCipher(figureKey())
	if err != nil {
		t.Fatal(err)
	}
	plain := append(bytes.Repeat([]byte{1}, 20), 0, 0, 0, 0)
	for size, want := range map[byte]bool{20: true, 16: false, 12: false, 0: false, 25: false, 255: false, 19: false, 24: true} {
		got, ok := unwrap(block, wrapWith(block, []byte{0xA6, 0x59, 0x59, 0xA6, 0, 0, 0, size}, plain))
		if ok != want || ok && len(got) != int(size) {
			t.Errorf("a length of %d: %v, %d bytes", size, ok, len(got))
		}
	}
	if _, ok := unwrap(block, wrapWith(block, []byte{0xA6, 0x59, 0x59, 0xA6, 0, 0, 0, 16}, make([]byte, 24))); ok {
		t.Error("a block more than the length says")
	}
	for n := range 16 {
		if _, ok := unwrap(block, make([]byte, n)); ok {
			t.Errorf("%d bytes are a wrapped key", n)
		}
	}
}

func derived(prf, rounds, size, salt string) string {
	return `<xenc11:DerivedKey><xenc11:KeyDerivationMethod Algorithm="` + methodPBKDF2 + `"><pkcs5:PBKDF2-params><Salt>` + salt + `</Salt><IterationCount>` + rounds +
		`</IterationCount><KeyLength>` + size + `</KeyLength>` + prf + `</pkcs5:PBKDF2-params></xenc11:KeyDerivationMethod><xenc11:MasterKeyName>Batch 7</xenc11:MasterKeyName></xenc11:DerivedKey>`
}

const salt8 = "<Specified>Ej7/PEpyEpw=</Specified>"

func TestEveryDerivationOpens(t *testing.T) {
	t.Parallel()
	salt := []byte("\x12\x3e\xff\x3c\x4a\x72\x12\x9c")
	seed := sample.Carol().Key
	for name, h := range everyHash() {
		for scheme, size := range map[string]int{"aes128-cbc": 16, "aes192-cbc": 24, "kw-aes256": 32} {
			for _, prf := range []string{`<PRF Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-` + name + `"/>`, `<PRF Algorithm="hmacWith` + strings.ToUpper(name) + `"/>`, "<PRF/>", ""} {
				if name != "sha1" && !strings.Contains(prf, "Algorithm") {
					continue
				}
				b := newBox()
				b.scheme, b.how = scheme, derived(prf, "1000", fmt.Sprint(size), salt8)
				var err error
				if b.key, err = pbkdf2.Key(h, "pässword", salt, 1000, size); err != nil {
					t.Fatal(err)
				}
				if rec := seedOf(t, unlocked(nil, []byte("pässword")), name+prf, b.file(seed.Reveal())); !rec.Key.Equal(seed) {
					t.Errorf("%s, %s: another seed", name, scheme)
				}
			}
		}
	}
}

// What ends the reading before a single byte is used.
func TestLockedFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	seed := sample.Carol().Key.Reveal()
	text := newBox().file(seed)
	swap := func(old, new string) string { return strings.Replace(text, old, new, 1) }
	how := newBox().how
	nobody := errors.New("nobody there")
	for _, tc := range []struct {
		name, text string
		want       error // nil: any
	}{
		{"certificate", swap(how, "<ds:X509Data/>"), ErrCertificate},
		{"encrypted key", swap(how, "<xenc:EncryptedKey/>"), ErrCertificate},
		{"MAC key reference", swap("<MACKey>", "<MACKeyReference>k</MACKeyReference><MACKey>"), ErrMACReference},
		{"unknown MAC", swap("hmac-sha1", "hmac-md5"), nil},
		{"unknown MAC key's scheme", swap("aes128-cbc", "aes128-gcm"), nil},
		{"short MAC key", swap(base64Of(newBox().encrypt(newBox().macKey)), "AAAA"), nil},
		{"2^31 iterations", swap(how, derived("", "2147483648", "16", salt8)), nil},
		{"2^70 iterations", swap(how, derived("", "1180591620717411303424", "16", salt8)), nil},
		{"no iterations", swap(how, derived("", "0", "16", salt8)), nil},
		{"negative iterations", swap(how, derived("", "-1", "16", salt8)), nil},
		{"10000001 iterations", swap(how, derived("", "10000001", "16", salt8)), nil},
		{"key of a GiB", swap(how, derived("", "1", "1073741824", salt8)), nil},
		{"no key length", swap(how, derived("", "1", "", salt8)), nil},
		{"no salt", swap(how, derived("", "1", "16", "")), nil},
		{"other salt", swap(how, derived("", "1", "16", "<OtherSource/>")), nil},
		{"long salt", swap(how, derived("", "1", "16", "<Specified>"+strings.Repeat("AAAA", 400)+"</Specified>")), nil},
		{"unknown PRF", swap(how, derived(`<PRF Algorithm="#hmac-md5"/>`, "1", "16", salt8)), nil},
		{"unknown derivation", strings.Replace(swap(how, derived("", "1", "16", salt8)), "#pbkdf2", "#scrypt", 1), nil},
		{"derived key of another length", swap(how, derived("", "1", "32", salt8)), ErrWrongKey},
		{"entity", "<!DOCTYPE k [<!ENTITY a \"b\">]>" + text, ErrDTD},
		{"large head", swap(how, how+strings.Repeat(" ", 2*maxPackage)), ErrTooLarge},
	} {
		asked := false
		r := Codec{}.Unlock(func(keyfile.Need) (secret.Bytes, error) { asked = true; return secret.Copy(figureKey()), nil })
		recs, errs := sample.Decode(r, tc.text)
		if opens := []string{"unknown MAC key's scheme", "short MAC key", "derived key of another length"}; asked != slices.Contains(opens, tc.name) {
			t.Errorf("%s: asked: %v", tc.name, asked)
		}
		if tc.text == text || len(recs) != 0 || len(errs) != 1 || keyfile.IsRow(errs[0]) || tc.want != nil && !errors.Is(errs[0], tc.want) {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
		}
	}
	for name, tc := range map[string]struct {
		ask  keyfile.Ask
		want error
	}{
		"nobody to ask": {nil, keyfile.ErrLocked},
		"no answer":     {func(keyfile.Need) (secret.Bytes, error) { return secret.Bytes{}, nil }, keyfile.ErrLocked},
		"error":         {func(keyfile.Need) (secret.Bytes, error) { return secret.Bytes{}, nobody }, nobody},
		"short key":     {func(keyfile.Need) (secret.Bytes, error) { return secret.Copy([]byte("abc")), nil }, ErrWrongKey},
	} {
		recs, errs := sample.Decode(Codec{}.Unlock(tc.ask), text)
		if len(recs) != 0 || len(errs) != 1 || !errors.Is(errs[0], tc.want) {
			t.Errorf("%s: %d records, %v", name, len(recs), errs)
		}
	}
}

// Most wrong keys are told from the MAC key's padding; none gives a record.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	text := newBox().file(sample.Carol().Key.Reveal())
	told := 0
	for i := range 256 {
		key := figureKey()
		key[3] ^= byte(i)
		recs, errs := sample.Decode(unlocked(key, nil), text)
		if i == 0 {
			continue
		}
		if len(recs) != 0 || len(errs) != 1 {
			t.Errorf("key %d: %d records, %v", i, len(recs), errs)
		}
		if errors.Is(errs[0], ErrWrongKey) {
			told++
		}
	}
	if told < 250 {
		t.Errorf("%d of 255 wrong keys were told", told)
	}
}

// A package whose MAC is wrong is a bad row; the packages around it are read, with one question asked.
func TestOneBadPackage(t *testing.T) {
	t.Parallel()
	seed := sample.Carol().Key.Reveal()
	b, forger := newBox(), newBox()
	forger.macKey = bytes.Repeat([]byte{0x22}, 20)
	unknown, early := newBox(), newBox()
	unknown.scheme, unknown.key = "tripledes-cbc", bytes.Repeat(figureKey(), 2)[:24]
	early.where = "none"
	for name, bad := range map[string]string{
		"forged": forger.pack("2", seed), "no MAC": early.pack("2", seed),
		"unknown scheme": strings.Replace(b.pack("2", seed), "aes128-cbc", "aes128-gcm", 1),
		"no cipher text": strings.Replace(b.pack("2", seed), "xenc:CipherValue", "xenc:Other", 2),
		"not base64":     strings.Replace(b.pack("2", seed), "<ValueMAC>", "<ValueMAC>$", 1),
		"two values":     strings.Replace(b.pack("2", seed), "</xenc:CipherValue>", "</xenc:CipherValue>"+regexp.MustCompile("<xenc:CipherValue>.*?</xenc:CipherValue>").FindString(b.pack("2", seed)), 1),
		"clear too":      strings.Replace(b.pack("2", seed), "<EncryptedValue>", "<PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue><EncryptedValue>", 1),
	} {
		asked := 0
		r := Codec{}.Unlock(func(n keyfile.Need) (secret.Bytes, error) {
			asked++
			if n.Hint != "Pre-shared-key" || n.Means != keyfile.PresharedKey {
				t.Errorf("asked for %v", n)
			}
			return secret.Copy(figureKey()), nil
		})
		recs, errs := sample.Decode(r, b.open()+b.pack("1", seed)+bad+b.pack("3", seed)+"</KeyContainer>")
		if asked != 1 || len(recs) != 2 || recs[1].Label != "3" || len(errs) != 1 || !keyfile.IsRow(errs[0]) {
			t.Errorf("%s: asked %d times, %d records, %v", name, asked, len(recs), errs)
			continue
		}
		var row *keyfile.RowError
		if errors.As(errs[0], &row); row.Line != 5 || row.Field != "key" {
			t.Errorf("%s: %v", name, row)
		}
	}
}

// A ValueMAC that nobody can check is as good as a wrong one.
func TestMACWithoutMethod(t *testing.T) {
	t.Parallel()
	b, bare := newBox(), newBox()
	bare.macURI = ""
	seed := sample.Carol().Key.Reveal()
	assertRow(t, "ValueMAC alone", unlocked(b.key, nil), bare.open()+b.pack("1", seed)+"</KeyContainer>", "does not say how")
	assertRow(t, "neither", unlocked(b.key, nil), bare.file(seed), "without a MAC")
}

// No single character of an encrypted package can be changed so that another key comes out.
func TestNoForgery(t *testing.T) {
	t.Parallel()
	text := readFigure(t, 6)
	want := figureRecord("", "", 8).Key
	from, to := strings.Index(text, "<Secret>"), strings.Index(text, "</Secret>")
	for i := from; i < to; i++ {
		for _, c := range []byte{'A', 'z', '/', text[i] ^ 1} {
			recs, _ := sample.Decode(unlocked(figureKey(), nil), text[:i]+string(rune(c))+text[i+1:])
			for _, rec := range recs {
				if !rec.Key.Equal(want) {
					t.Errorf("%q at %d gives another key", c, i)
				}
			}
		}
	}
}

func TestEncryptedNumbers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		plain string
		want  int64
		ok    bool
	}{
		{"298507", 298507, true}, {"\x00\x0e\xab\x70", 961392, true}, {"\x00", 0, true}, {"\x00\x00\x00\x00\x00\x00\x01\x00", 256, true}, {"0", 0, true},
		{"\xff\xff\xff\xff\xff\xff\xff\xff", 0, false}, {"\x01\x00\x00\x00\x00\x00\x00\x00\x00", 0, false}, {"99999999999999999999", 0, false}, {"-1\x00\x00\x00\x00\x00\x00\x00", 0, false},
	} {
		b := newBox()
		inside, _ := b.value([]byte(tc.plain))
		b.other = "<Counter>" + inside + "</Counter>"
		text := b.file(sample.Carol().Key.Reveal())
		if !tc.ok {
			assertRow(t, tc.plain, unlocked(b.key, nil), text, "not a number")
			continue
		}
		if rec := seedOf(t, unlocked(b.key, nil), tc.plain, text); rec.Counter != tc.want {
			t.Errorf("%q: got %d, want %d", tc.plain, rec.Counter, tc.want)
		}
		at := strings.LastIndex(text, "<ValueMAC>") + len("<ValueMAC>")
		assertRow(t, "MAC of a number", unlocked(b.key, nil), text[:at]+flip(text[at:at+1])+text[at+1:], "MAC does not match")
	}
	b, bare := newBox(), newBox()
	bare.pad = unchanged
	inside, _ := bare.value([]byte("0000000000000042"))
	b.other = "<Counter>" + inside + "</Counter>"
	assertRow(t, "a number without padding", unlocked(b.key, nil), b.file(sample.Carol().Key.Reveal()), "padding")
}

func TestEncryptedTimes(t *testing.T) {
	t.Parallel()
	totp := newBox()
	inside, _ := totp.value([]byte("60"))
	drift, _ := totp.value([]byte("3"))
	none, _ := totp.value([]byte{0})
	totp.other = "<TimeInterval>" + inside + "</TimeInterval><TimeDrift>" + none + "</TimeDrift>"
	text := strings.Replace(totp.file(sample.Carol().Key.Reveal()), algHOTP, algTOTP, 1)
	if rec := seedOf(t, unlocked(totp.key, nil), "interval", text); rec.Period.Seconds() != 60 {
		t.Errorf("an encrypted interval of 60: %v", rec.Period)
	}
	assertRow(t, "drift", unlocked(totp.key, nil), strings.Replace(text, none, drift, 1), "clock")
}

// flip is another base64 character.
func flip(s string) string {
	if s == "A" {
		return "B"
	}
	return "A"
}

// A file that has an EncryptionKey and no encrypted value asks for nothing.
func TestNothingEncrypted(t *testing.T) {
	t.Parallel()
	text := strings.Replace(golden, " <pskc:KeyPackage>\n", "<EncryptionKey><X509Data/></EncryptionKey><MACMethod Algorithm=\"x\"/>\n <pskc:KeyPackage>\n", 1)
	sample.AssertRecords(t, Codec{}, "nothing encrypted", text, goldenRecords())
}

// manyRounds is an iteration count of six digits or more.
var manyRounds = regexp.MustCompile(`(?i)iterationcount[^/]*[0-9]{6}`)

// FuzzLocked holds the laws with somebody to ask: no panic, an error beside a zero record, and what was read is written and
// read again.
func FuzzLocked(f *testing.F) {
	for n := 2; n <= 10; n++ {
		f.Add([]byte(readFigure(f, n)))
	}
	seed := sample.Carol().Key.Reveal()
	for _, change := range []func(*box){
		func(*box) {}, func(b *box) { b.macKey = nil }, func(b *box) { b.scheme = "kw-aes128" }, func(b *box) { b.pad = xmlenc }, func(b *box) { b.where = "beside" },
	} {
		b := newBox()
		change(&b)
		f.Add([]byte(b.file(seed)))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		text := string(file)
		if manyRounds.MatchString(text) {
			t.Skip("more rounds than a fuzzer has time for")
		}
		for rec, err := range unlocked(figureKey(), []byte("qwerty")).Decode(strings.NewReader(text)) {
			if err != nil {
				if d := keyfile.Differences(rec, keyfile.Record{}); len(d) > 0 {
					t.Errorf("%v beside a record with %v", err, d)
				}
				continue
			}
			c := Codec{Protect: Protection{Key: secret.Copy(figureKey()), Random: dice()}}
			out, err := sample.Encode(c, rec)
			var refused *keyfile.LossError
			if errors.As(err, &refused) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := keyfile.Check(c, strings.NewReader(out), keyfile.All([]keyfile.Record{rec})); err != nil {
				t.Errorf("%v in\n%s", err, out)
			}
		}
	})
}
