package codecs

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/entra"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// encodable are the samples, as they are or else with an owner, that c does not refuse.
func encodable(c keyfile.Codec) []keyfile.Record {
	if recs := sample.Taken(c, sample.All()); len(recs) > 0 {
		return recs
	}
	var owned []keyfile.Record
	for _, r := range sample.All() {
		owned = append(owned, sample.With(r, func(r *keyfile.Record) { r.Owner = "ada" }))
	}
	return sample.Taken(c, owned)
}

// everyCodec is All, with the options without which Entra's takes nobody, and the second version of the OATH CSV.
func everyCodec() []keyfile.Codec {
	out := []keyfile.Codec{oathcsv.Codec{Realm: "campus", Resolver: "people"}}
	for _, c := range All() {
		if c.Name() == "entra" {
			c = entra.Codec{Domain: "example.org"}
		}
		out = append(out, c)
	}
	return out
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
			if c.Detect([]byte(text)) == 0 {
				continue // a bare table of serials and keys, read only when it is named
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
	seen := map[string]bool{}
	for _, n := range ReaderNames() {
		if c, ok := ReaderByName(n); !ok || c.Name() != n || seen[n] {
			t.Errorf("%s: %v, %v, seen %v", n, c, ok, seen[n])
		}
		seen[n] = true
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
	missing := map[string]bool{}
	for _, name := range strings.Fields("privacyidea linotp yubikey-ksm yubikey-val keycloak freeipa entra okta nextcloud google-authenticator pam-yubico pam-oath multiotp") {
		missing[name] = true
	}
	seen := map[string]bool{}
	for _, target := range Targets() {
		if _, ok := ByName(target.Codec.Name()); !ok || seen[target.Name] {
			t.Errorf("%s: format %s, seen %v", target.Name, target.Codec.Name(), seen[target.Name])
		}
		seen[target.Name] = true
		delete(missing, target.Name)
		if target.Title == "" || target.Why == "" || !strings.Contains(target.Import, "FILE") {
			t.Errorf("%s: %+v", target.Name, target)
		}
		for _, keyFile := range []string{"", "psk.bin"} {
			s := target.Instructions("keys.csv", keyFile)
			if strings.Contains(s, "FILE") || !strings.Contains(s, "keys.csv") || strings.Contains(s, "-k ") != (keyFile != "" && target.RawKey) {
				t.Errorf("%s: %s", target.Name, s)
			}
		}
		if !target.Tried && !strings.Contains(target.Why, "not tried") {
			t.Errorf("%s does not say that it was not tried", target.Name)
		}
	}
	if len(missing) > 0 {
		t.Errorf("missing: %v", missing)
	}
	ksm, _ := TargetByName("yubikey-ksm")
	if !strings.Contains(ksm.Import, "gpg --armor --sign") {
		t.Error("ykksm-import takes signed messages only, and the instructions do not say so")
	}
	if _, ok := TargetByName("nobody"); ok {
		t.Error("nobody is a target")
	}
}

func TestQuoted(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{"a/b_c-1.csv": "a/b_c-1.csv", "my keys": "'my keys'", "it's": `'it'\''s'`, "$(id)": "'$(id)'", "": "''", "--": "'--'"} {
		if got := Quoted(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
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
		recs := encodable(c)
		if len(recs) == 0 {
			continue // a table of other lengths and periods than the samples have
		}
		text, err := sample.Encode(c, recs[0])
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
			err := e.Encode(recs[0])
			if err == nil {
				err = e.Close()
			}
			if w.left < 0 && !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("%s: write %d failed and the encoder says %v", c.Name(), n, err)
			}
		}
	}
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for _, c := range everyCodec() {
		for _, rec := range encodable(c) {
			text, err := sample.Encode(c, rec)
			if err != nil {
				t.Fatal(err)
			}
			sample.AssertHostile(t, c, text)
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
