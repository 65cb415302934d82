package ykslot

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNDEFBytes(t *testing.T) {
	t.Parallel()
	uri := func(s string) func() (NDEF, error) { return func() (NDEF, error) { return NDEFURI(s) } }
	text := func(s, lang string) func() (NDEF, error) { return func() (NDEF, error) { return NDEFText(s, lang) } }
	for _, tc := range []struct {
		make func() (NDEF, error)
		want string // without the zeros at the end; "" is refused
	}{
		{uri(DefaultNDEF), "1355" + "04" + hex.EncodeToString([]byte("my.yubico.com/yk/#"))},
		{uri("https://www.example.com/"), "0d55" + "02" + hex.EncodeToString([]byte("example.com/"))},
		{uri("tel:+43"), "045505" + "2b3433"},
		{uri("urn:nfc:x"), "02552378"},
		{uri("urn:epc:id:x"), "02551e78"},
		{uri("urn:x"), "02551378"},
		{uri("ftp://ftp.x"), "02550878"},
		{uri("ftp://x"), "02550d78"},
		{uri("app:x"), "065500" + hex.EncodeToString([]byte("app:x"))},
		{uri(""), ""},
		{uri("https://" + strings.Repeat("x", 53)), "365504" + strings.Repeat("78", 53)},
		{uri("https://" + strings.Repeat("x", 54)), ""},
		{uri("\xff"), ""},
		{text("Servus", ""), "09540265" + "6e" + hex.EncodeToString([]byte("Servus"))},
		{text("Grüß", "de-AT"), "0c5405" + hex.EncodeToString([]byte("de-ATGrüß"))},
		{text("", ""), "035402656e"},
		{text(strings.Repeat("x", 51), "en"), "365402656e" + strings.Repeat("78", 51)},
		{text(strings.Repeat("x", 52), "en"), ""},
		{text("x", "much-too-long"), ""},
		{text("x", "e!"), ""},
		{text("\xc3", "en"), ""},
	} {
		n, err := tc.make()
		var invalid *InvalidError
		if (err == nil) != (tc.want != "") || err != nil && !errors.As(err, &invalid) {
			t.Errorf("%q: %v", tc.want, err)
			continue
		}
		if err != nil {
			continue
		}
		b := n.AppendMarshal(nil)
		if got := strings.TrimRight(hex.EncodeToString(b), "0"); len(b) != 56 || got != strings.TrimRight(tc.want, "0") {
			t.Errorf("%d bytes %s, want %s", len(b), got, tc.want)
		}
		if back, err := ParseNDEF(b); err != nil || back.String() != n.String() || !bytes.Equal(back.AppendMarshal(nil), b) {
			t.Errorf("%s: read as %q, %v", tc.want, back, err)
		}
	}
	if len(uriPrefixes) != 0x23 {
		t.Errorf("%d prefixes, want 35", len(uriPrefixes))
	}
}

// FuzzNDEF: 56 bytes, and the text comes back.
func FuzzNDEF(f *testing.F) {
	f.Add(DefaultNDEF, "")
	f.Add("https://www.", "en")
	f.Add("Grüß", "de")
	for _, p := range uriPrefixes {
		f.Add(p+"x", "")
	}
	f.Fuzz(func(t *testing.T, text, lang string) {
		for _, n := range []func() (NDEF, error){func() (NDEF, error) { return NDEFURI(text) }, func() (NDEF, error) { return NDEFText(text, lang) }} {
			made, err := n()
			if err != nil {
				if made.kind != 0 || made.data != nil {
					t.Fatal("result beside an error")
				}
				continue
			}
			b := made.AppendMarshal([]byte{9})
			if len(b) != 57 || int(b[1]) > NDEFLen || made.String() != text || !utf8.ValidString(text) || !bytes.Equal(b[3:3+len(made.data)], made.data) {
				t.Fatalf("%d bytes; %q came back as %q", len(b), text, made.String())
			}
		}
	})
}

// FuzzParseNDEF: what is read is what was written, to the byte.
func FuzzParseNDEF(f *testing.F) {
	n, err := NDEFURI(DefaultNDEF)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(n.AppendMarshal(nil))
	f.Add(append([]byte{54, 'T'}, bytes.Repeat([]byte{0xff}, NDEFLen)...))
	f.Add([]byte{255, 'U'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ParseNDEF(b); err == nil && !bytes.Equal(n.AppendMarshal(nil), b) {
			t.Errorf("%x is read as %q", b, n)
		}
	})
}
