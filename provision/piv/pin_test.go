package piv

import (
	"bytes"
	"crypto/des"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

func TestCheckPIN(t *testing.T) {
	t.Parallel()
	for pin, ok := range map[string]bool{
		"271828": true, "27182818": true, "correct1": true, "!#$%&~": true, "123457": true, "aaaaab": true,
		"": false, "12345": false, "123456789": false, "123456": false, "12345678": false, "password": false, "111111": false, "aaaaaaaa": false,
		"234567": false, "987654": false, "abcdef": false, "121212": false, "12121212": false, "272727": false, "123123": false, "718718": false, "71871871": false,
		"12 456": false, "12345\x00": false, "12345\xff": false, "pässwor": false,
	} {
		err := CheckPIN(pinText(pin))
		if ok != (err == nil) || err != nil && !errors.Is(err, ErrPIN) {
			t.Errorf("%q: %v", pin, err)
		}
		if err != nil && len(pin) > 3 && strings.Contains(err.Error(), pin) {
			t.Errorf("the error holds the PIN: %v", err)
		}
	}
}

// TestRandomPIN: each digit is as likely as the others, nothing trivial is drawn, and a source that gives nothing else is an error.
func TestRandomPIN(t *testing.T) {
	t.Parallel()
	r := rand.NewChaCha8([32]byte{8})
	var count [10]int
	const draws = 5000
	for range draws {
		pin, err := RandomPIN(r, MaxPIN)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckPIN(pin); err != nil {
			t.Fatal(err)
		}
		for _, c := range pin.Reveal() {
			count[c-'0']++
		}
	}
	for d, n := range count {
		if n < draws*MaxPIN/10*95/100 || n > draws*MaxPIN/10*105/100 {
			t.Errorf("digit %d: %d times of %d", d, n, draws*MaxPIN)
		}
	}
	trivialThenGood := io.MultiReader(bytes.NewReader([]byte{1, 1, 1, 1, 1, 1, 255, 251, 2, 7, 1, 8, 2, 8}))
	if pin, err := RandomPIN(trivialThenGood, MinPIN); err != nil || string(pin.Reveal()) != "271828" {
		t.Errorf("after a trivial one: %v", err)
	}
	if _, err := RandomPIN(zeros{}, MinPIN); err == nil {
		t.Error("a source of zeros gave a PIN")
	}
	if _, err := RandomPIN(strings.NewReader("123"), MinPIN); !errors.Is(err, io.EOF) {
		t.Errorf("a source that ends: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestRandomManagementKey(t *testing.T) {
	t.Parallel()
	key, err := RandomManagementKey(rand.NewChaCha8([32]byte{9}))
	if err != nil || key.Len() != 24 || token.PIVManagementKey.Check(key) != nil {
		t.Fatalf("%d bytes, %v", key.Len(), err)
	}
	if _, err := des.NewTripleDESCipher(key.Reveal()); err != nil {
		t.Error(err)
	}
	if _, err := RandomManagementKey(zeros{}); err == nil {
		t.Error("a source of zeros gave a key")
	}
	for name, weakKey := range map[string]string{
		"default": defaultManagement, "two alike": "abcdefghabcdefgh12345678", "alike but for parity": "abcdefgh`bcdefgh12345678",
		"first and last": "abcdefgh12345678abcdefgh", "weak key of DES": "\x01\x01\x01\x01\x01\x01\x01\x01abcdefgh12345678",
		"semi-weak": "abcdefgh\x01\xFE\x01\xFE\x01\xFE\x01\xFE12345678",
	} {
		if !weak([]byte(weakKey)) {
			t.Errorf("%s: taken", name)
		}
	}
	if weak([]byte("abcdefgh12345678ABCDEFGH")) {
		t.Error("a good one is not taken")
	}
}

// TestDefaults: what a new card has is nothing that would be set.
func TestDefaults(t *testing.T) {
	t.Parallel()
	for _, s := range []secret.Bytes{DefaultPIN(), DefaultPUK()} {
		if CheckPIN(s) == nil {
			t.Error("a default one is taken")
		}
	}
}

func FuzzCheckPIN(f *testing.F) {
	f.Add([]byte("271828"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if CheckPIN(secret.Copy(b)) == nil && (token.PIVPIN.Check(secret.Copy(b)) != nil || bytes.Contains(b, []byte{0xFF})) {
			t.Errorf("%q is taken, and the store or the card would not", b)
		}
	})
}
