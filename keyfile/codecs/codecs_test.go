package codecs

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// encodable are the samples that c does not refuse.
func encodable(c keyfile.Codec) []keyfile.Record { return sample.Taken(c, sample.All()) }

// everyCodec is All and the second version of the OATH CSV.
func everyCodec() []keyfile.Codec {
	return append(All(), oathcsv.Codec{Realm: "campus", Resolver: "people"})
}

func TestLaws(t *testing.T) {
	t.Parallel()
	for _, c := range everyCodec() {
		sample.AssertLaws(t, c)
	}
}

func TestDetectTellsFilesApart(t *testing.T) {
	t.Parallel()
	for _, c := range everyCodec() {
		for _, r := range encodable(c) {
			text, err := sample.Encode(c, r)
			if err != nil {
				t.Fatal(err)
			}
			for name, head := range map[string]string{"own": text, "BOM": "\xEF\xBB\xBF" + text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n")} {
				got, sure := Detect([]byte(head))
				if got == nil || got.Name() != c.Name() || sure < 1 || sure > 100 {
					t.Errorf("%s: %s of %s: got %v, %d", name, c.Name(), r.Name(), got, sure)
				}
			}
		}
	}
	for _, text := range []string{"", "\n\n", "hello, world\n", "<html>", "%PDF-1.4", "\x00\x01", "a,b,c,d,e,f,\n", ",,,,,,\n"} {
		if c, sure := Detect([]byte(text)); c != nil || sure != 0 {
			t.Errorf("%q is taken for %s", text, c.Name())
		}
	}
}

func TestByName(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprint(Names()); got != "[yubico-csv oath-csv ksm pskc]" {
		t.Error(got)
	}
	for _, n := range Names() {
		if c, ok := ByName(n); !ok || c.Name() != n {
			t.Errorf("%s: %v, %v", n, c, ok)
		}
	}
	if c, ok := ByName("dpw"); ok || c != nil {
		t.Errorf("dpw: %v", c)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	formats := map[string]string{"privacyidea": "oath-csv", "linotp": "oath-csv", "yubikey-ksm": "ksm", "freeipa": "pskc", "multiotp": "pskc",
		"okta": "yubico-csv", "greenradius": "yubico-csv"}
	for _, target := range Targets() {
		if target.Codec.Name() != formats[target.Name] {
			t.Errorf("%s gets %s", target.Name, target.Codec.Name())
		}
		delete(formats, target.Name)
		if target.Title == "" || target.Why == "" || !strings.Contains(target.Import, "FILE") {
			t.Errorf("%s: %+v", target.Name, target)
		}
		if s := target.Instructions("keys.csv"); strings.Contains(s, "FILE") || !strings.Contains(s, "keys.csv") {
			t.Errorf("%s: %s", target.Name, s)
		}
		if !target.Tried && !strings.Contains(target.Why, "not tried") {
			t.Errorf("%s does not say that it was not tried", target.Name)
		}
	}
	if len(formats) > 0 {
		t.Errorf("missing: %v", formats)
	}
	ksm, _ := TargetByName("yubikey-ksm")
	if !strings.Contains(ksm.Import, "gpg --armor --sign") {
		t.Error("ykksm-import takes signed messages only, and the instructions do not say so")
	}
	if _, ok := TargetByName("nobody"); ok {
		t.Error("nobody is a target")
	}
}

func TestTargetsRefuse(t *testing.T) {
	t.Parallel()
	seven := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Digits = 7 })
	for _, tc := range []struct {
		target string
		rec    keyfile.Record
		field  string // "": taken
	}{
		{"privacyidea", sample.Bob(), ""}, {"linotp", sample.Bob(), "counter"}, {"linotp", sample.Alice(), ""},
		{"freeipa", sample.First(), "kind"}, {"freeipa", seven, "digits"}, {"freeipa", sample.Dave(), ""},
		{"multiotp", sample.First(), "kind"}, {"multiotp", seven, ""},
		{"okta", sample.Alice(), "kind"}, {"okta", sample.First(), ""},
		{"yubikey-ksm", sample.Alice(), "kind"}, {"yubikey-ksm", sample.First(), ""},
	} {
		target, ok := TargetByName(tc.target)
		if !ok {
			t.Fatal(tc.target)
		}
		var refused *keyfile.LossError
		err := keyfile.Refused(tc.target, tc.rec, target.Loss(tc.rec))
		if tc.field == "" && err != nil || tc.field != "" && (!errors.As(err, &refused) || refused.Loss.Field != tc.field) {
			t.Errorf("%s, %s: %v", tc.target, tc.rec.Name(), err)
		}
	}
}

// A file that is not taken to its end, and a writer that fails, must not go on.
func TestStopping(t *testing.T) {
	t.Parallel()
	for _, c := range everyCodec() {
		text, err := sample.Encode(c, encodable(c)...)
		if err != nil {
			t.Fatal(err)
		}
		for rec := range c.Decode(strings.NewReader(text)) {
			rec.Destroy()
			break
		}
		for n := range 4 {
			w := &failing{left: n}
			e := c.NewEncoder(w)
			err := e.Encode(encodable(c)[0])
			if err == nil {
				err = e.Close()
			}
			if w.left < 0 && !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("%s: write %d failed and the encoder says %v", c.Name(), n, err)
			}
		}
	}
}

// failing takes left writes and refuses the others.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}
