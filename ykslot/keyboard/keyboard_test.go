package keyboard

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// TestEncodeVector is F12 of reference yubikey-otp.md §3.10.
func TestEncodeVector(t *testing.T) {
	t.Parallel()
	us, _ := Lookup("us")
	got, err := us.Encode(secret.New([]byte("Hello World!")))
	if err != nil || fmt.Sprintf("%x", got.Reveal()) != "8b080f0f122c9a12150f079e" {
		t.Errorf("%x, %v", got.Reveal(), err)
	}
	if back := us.Decode(got); string(back.Reveal()) != "Hello World!" {
		t.Errorf("back: %q", back.Reveal())
	}
}

// TestCharErrorDoesNotEcho: the error has the place and the kind of a character and nothing else of the password.
func TestCharErrorDoesNotEcho(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ layout, text, want string }{
		{"de", "Secret@1", "character 7, a punctuation mark, is on no key of the layout de, alone or with Shift"},
		{"us", "pässword", "character 2, a lower-case letter outside ASCII, is"},
		{"us", "ab\x00", "character 3, a control character, is"},
		{"modhex", "cbd7", "character 4, a digit, is"},
		{"us", "abc\xff", "character 4, which is not valid UTF-8, is"},
		{"us", "x€", "character 2, a symbol outside ASCII, is"},
		{"us", "字", "character 1, a letter outside ASCII, is"},
		{"us", "e\u0301", "character 2, a combining mark outside ASCII, is"},
		{"us", "a\u00a0", "character 2, a space outside ASCII, is"},
		{"us", "aÄ", "character 2, an upper-case letter outside ASCII, is"},
	} {
		l, _ := Lookup(tc.layout)
		got, err := l.Encode(secret.New([]byte(tc.text)))
		var char *CharError
		if !errors.As(err, &char) || got.Len() != 0 || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %q: %v", tc.layout, tc.text, err)
			continue
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, *char); strings.Contains(text, tc.text) || strings.Contains(text, "@") || strings.Contains(text, "ä") {
			t.Errorf("%q echoes", text)
		}
	}
	if _, err := (Layout{}).Encode(secret.New([]byte("a"))); err == nil {
		t.Error("no layout typed something")
	}
}

func TestAlphabet(t *testing.T) {
	t.Parallel()
	for _, l := range All() {
		alphabet := l.Alphabet()
		for i, r := range alphabet {
			if s := l.Stroke(r); s == 0 || r <= ' ' || r >= utf8.RuneSelf || strings.ContainsRune(alphabet[i+1:], r) {
				t.Errorf("%s: %q has stroke %02x", l.Name, r, s)
			}
		}
		if l.Name == "modhex" && len(alphabet) != 32 || len(alphabet) < 32 || len(alphabet) > 94 {
			t.Errorf("%s has %d: %s", l.Name, len(alphabet), alphabet)
		}
	}
}

// FuzzEncode: what encodes has a stroke a character and decodes to the same text.
func FuzzEncode(f *testing.F) {
	for _, l := range All() {
		f.Add(l.Name, "Hello World!\t\n")
		f.Add(l.Name, l.Alphabet())
	}
	f.Add("fr", "à&é\"'(-è_ç")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, name, text string) {
		l, _ := Lookup(name)
		strokes, err := l.Encode(secret.New([]byte(text)))
		if err != nil {
			if strokes.Len() != 0 {
				t.Fatal("result beside an error")
			}
			return
		}
		if strokes.Len() != utf8.RuneCountInString(text) {
			t.Fatalf("%d strokes for %d characters", strokes.Len(), utf8.RuneCountInString(text))
		}
		if back := l.Decode(strokes); string(back.Reveal()) != text {
			t.Fatal("decodes to another text")
		}
	})
}
