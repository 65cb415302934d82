package secret

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const clear16 = "SuperSecretKey16"

// forms are the ways the bytes could show up in text.
func forms() []string {
	dec := strings.Trim(fmt.Sprint([]byte(clear16)), "[]")
	return []string{clear16, fmt.Sprintf("%x", clear16), fmt.Sprintf("%X", clear16), dec, strings.ReplaceAll(dec, " ", ","), "U3VwZXJTZWNyZXRLZXkxNg"}
}

func assertHidden(t *testing.T, how, out string) {
	t.Helper()
	for _, f := range forms() {
		if strings.Contains(out, f) {
			t.Errorf("%s shows the secret: %q", how, out)
		}
	}
}

func TestNoVerbPrints(t *testing.T) {
	s := Copy([]byte(clear16))
	type inner struct{ key Bytes }
	type outer struct {
		Name string
		key  Bytes
		in   *inner
		list []Bytes
		m    map[string]Bytes
	}
	o := outer{"n", s, &inner{s}, []Bytes{s}, map[string]Bytes{"k": s}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%t", "%p", "%e", "% x", "%T"} {
		for name, v := range map[string]any{"value": s, "pointer": &s, "struct": o, "struct pointer": &o, "inner": *o.in} {
			assertHidden(t, verb+" of "+name, fmt.Sprintf(verb, v))
		}
	}
	assertHidden(t, "error", fmt.Errorf("key %v, %v", s, o).Error())
}

func TestNoEncoderPrints(t *testing.T) {
	s := Copy([]byte(clear16))
	v := struct{ Key Bytes }{s}
	if out, err := json.Marshal(v); err == nil {
		t.Errorf("JSON encoded a secret: %s", out)
	}
	if out, err := xml.Marshal(v); err == nil {
		t.Errorf("XML encoded a secret: %s", out)
	}
	if err := gob.NewEncoder(new(bytes.Buffer)).Encode(v); err == nil {
		t.Error("gob encoded a secret")
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "key", s, "struct", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "key", s, "struct", v)
	assertHidden(t, "slog", b.String())
	if !strings.Contains(b.String(), Redacted) {
		t.Errorf("slog shows nothing in place of the secret: %s", b.String())
	}
}

func TestDestroyReachesEveryCopy(t *testing.T) {
	raw := []byte(clear16)
	s := New(raw)
	other := s
	own := s.Clone()
	s.Destroy()
	s.Destroy()
	if !bytes.Equal(raw, make([]byte, 16)) {
		t.Error("the bytes are still in memory")
	}
	if other.Len() != 0 || other.Reveal() != nil {
		t.Error("a copy still sees the secret")
	}
	if string(own.Reveal()) != clear16 {
		t.Error("the clone went with the original")
	}
	Bytes{}.Destroy()
}

func TestEqualAndZero(t *testing.T) {
	a, b, c := Copy([]byte{1, 2}), Copy([]byte{1, 2}), Copy([]byte{1, 2, 3})
	if !a.Equal(b) || a.Equal(c) || a.Equal(Bytes{}) || !(Bytes{}).Equal(Bytes{}) {
		t.Error("Equal is wrong")
	}
	if a.IsZero() || !Copy(make([]byte, 6)).IsZero() || !(Bytes{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestFromHex(t *testing.T) {
	for _, tc := range []struct {
		in string
		n  int
		ok bool
	}{{"0aFF", 2, true}, {"", 0, true}, {"0a", 2, false}, {"0g", 1, false}, {"0a0", 1, false}} {
		s, err := FromHex(tc.in, tc.n)
		if (err == nil) != tc.ok {
			t.Errorf("FromHex(%q, %d): %v", tc.in, tc.n, err)
		}
		if err != nil && (s.Len() != 0 || (tc.in != "" && strings.Contains(err.Error(), tc.in))) {
			t.Errorf("FromHex(%q): secret of %d bytes, error %v", tc.in, s.Len(), err)
		}
	}
}

func TestRandom(t *testing.T) {
	s, err := Random(bytes.NewReader([]byte(clear16)), 16)
	if err != nil || string(s.Reveal()) != clear16 {
		t.Fatalf("got %d bytes, %v", s.Len(), err)
	}
	if _, err := Random(bytes.NewReader([]byte("short")), 16); err == nil {
		t.Error("a short source gave a secret")
	}
}
