package keyfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/yubicocsv"
	"github.com/tokendesk/tokendesk/provision/token"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	c := yubicocsv.Codec{}
	recs := []keyfile.Record{sample.First(), sample.Second()}
	text, err := sample.Encode(c, recs...)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, text string
		want       keyfile.MismatchError // zero: none
	}{
		{"same", text, keyfile.MismatchError{}},
		{"key", strings.Replace(text, "f4f2", "f4f3", 1), keyfile.MismatchError{Line: 1, Token: "10200301", Field: "key"}},
		{"private ID", strings.Replace(text, "e175", "e176", 1), keyfile.MismatchError{Line: 2, Token: "10200302", Field: "private-id"}},
		{"order", text[len(text)/2:] + text[:len(text)/2], keyfile.MismatchError{Line: 1, Token: "10200301", Field: "serial"}},
		{"cut", text[:len(text)/2], keyfile.MismatchError{Line: 0, Token: "10200302", Field: "record"}},
		{"doubled", text + text, keyfile.MismatchError{Line: 3, Field: "record"}},
	} {
		err := keyfile.Check(c, strings.NewReader(tc.text), keyfile.All(recs))
		if tc.want == (keyfile.MismatchError{}) {
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		tc.want.Format = c.Name()
		var bad *keyfile.MismatchError
		if !errors.As(err, &bad) || *bad != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, err, &tc.want)
			continue
		}
		for _, s := range []string{sample.Key1[:28], sample.Key2[:28], sample.PrivateID2[4:]} {
			if strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v shows a secret", tc.name, err)
			}
		}
		if tc.want.Token != "" && !strings.Contains(err.Error(), tc.want.Token) {
			t.Errorf("%s: %v does not name the token", tc.name, err)
		}
	}
	if err := keyfile.Check(c, strings.NewReader(text[:len(text)-40]), keyfile.All(recs)); !keyfile.IsRow(err) {
		t.Errorf("a damaged row: %v", err)
	}
	for _, r := range recs {
		if r.Key.Len() != 16 {
			t.Error("Check destroyed the caller's record")
		}
	}
}

func TestCheckPassesTheSourcesError(t *testing.T) {
	t.Parallel()
	c, gone := yubicocsv.Codec{}, errors.New("store gone")
	text, err := sample.Encode(c, sample.First())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"", text} {
		err := keyfile.Check(c, strings.NewReader(file), func(yield func(keyfile.Record, error) bool) { yield(keyfile.Record{}, gone) })
		if !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	long, err := token.NewPublicID(make([]byte, 9))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string // "": imported
	}{
		{"sound", sample.First(), ""},
		{"TOTP", sample.Carol(), ""},
		{"no private ID", sample.With(sample.First(), func(r *keyfile.Record) { r.PrivateID = sample.Hex("") }), "private-id"},
		{"no public ID", sample.With(sample.First(), func(r *keyfile.Record) { r.PublicID = token.PublicID{} }), "public-id"},
		{"long public ID", sample.With(sample.First(), func(r *keyfile.Record) { r.PublicID = long }), "public-id"},
		{"seed of 9 bytes", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Key = sample.Hex("010203040506070809") }), "key"},
		{"seed of 10 bytes", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Key = sample.Hex("01020304050607080910") }), ""},
	} {
		text, err := sample.Encode(pskc.Codec{}, tc.rec, sample.Dave())
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		var fields []string
		for rec, err := range keyfile.Import(pskc.Codec{}, strings.NewReader(text)) {
			var bad *keyfile.RowError
			switch {
			case err == nil:
				fields = append(fields, "")
			case errors.As(err, &bad) && bad.Line == 3 && rec.Key.Len() == 0:
				fields = append(fields, bad.Field)
			default:
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		if fmt.Sprint(fields) != fmt.Sprint([]string{tc.field, ""}) {
			t.Errorf("%s: got %q", tc.name, fields)
		}
	}
}

func TestBadText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		text, csv bool // bad in any file, bad in a table
	}{
		{"", false, false}, {"dave", false, false}, {"Dave Doe", false, false}, {"dave@example.org", false, false}, {"é", false, false},
		{"a,b", false, true}, {`"a"`, false, true}, {"=1", false, true}, {"+1", false, true}, {"-1", false, true}, {"@a", false, true}, {"#a", false, true},
		{"a\nb", true, true}, {"a\x00", true, true}, {"a\u0085b", true, true}, {" a", true, true}, {"a ", true, true}, {"\xff", true, true},
		{strings.Repeat("a", 256), true, true},
	} {
		if got := keyfile.BadText(tc.name) != ""; got != tc.text {
			t.Errorf("BadText(%q) = %v", tc.name, got)
		}
		if got := keyfile.BadName(tc.name) != ""; got != tc.csv {
			t.Errorf("BadName(%q) = %v", tc.name, got)
		}
	}
}

func TestErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	rec := sample.With(sample.Second(), func(r *keyfile.Record) { r.PrivateID = sample.Hex(sample.Key1) })
	var b bytes.Buffer
	err := yubicocsv.Codec{}.NewEncoder(&b).Encode(rec)
	shown := fmt.Sprintf("%v %+v %#v %v", err, err, err, rec)
	for _, s := range []string{sample.Key1, sample.Key2, sample.Access2} {
		if strings.Contains(shown, s) {
			t.Errorf("%s shows a secret", shown)
		}
	}
}
