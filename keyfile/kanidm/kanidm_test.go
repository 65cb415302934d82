package kanidm

import (
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

const golden = `{"name":"dave","totp_import":[{"external_id":"TOTP00900004","secret":"n4gTKZpffHAdpyGSpbph5HebKRXcFwjI2d1A31PnlPk=","algo":"sha256","step":30,"digits":6}]}
`

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestEncode(t *testing.T) {
	t.Parallel()
	if got, err := sample.Encode(Codec{}, sample.Dave()); err != nil || got != golden {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"ours": golden, "CRLF": strings.ReplaceAll(golden, "\n", "\r\n"), "BOM": "\xEF\xBB\xBF" + golden} {
		sample.AssertRecords(t, Codec{}, name, text, []keyfile.Record{sample.Dave()})
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	row := strings.TrimSpace(golden)
	element := row[strings.Index(row, "[")+1 : strings.Index(row, "]")]
	change := func(old, with string) string { return strings.Replace(row, old, with, 1) }
	for _, tc := range []struct{ name, row, field string }{
		{"no JSON", "dave", "line"},
		{"unknown member", change(`{"name"`, `{"id":1,"name"`), "line"},
		{"no token", change(element, ""), "totp_import"},
		{"two tokens", change(element, element+","+element), "totp_import"},
		{"no name", change(`"dave"`, `""`), "name"},
		{"no label", change("TOTP00900004", ""), "external_id"},
		{"algorithm", change("sha256", "SHA256"), "algo"},
		{"step", change(":30,", ":15,"), "step"},
		{"huge step", change(":30,", ":9223372036854775807,"), "step"},
		{"digits", change(":6}", ":7}"), "digits"},
		{"base64 without padding", change("lPk=", "lPk"), "secret"},
		{"base64 of the web", change("n4gT", "n4-T"), "secret"},
		{"stray bits", change("lPk=", "lPl="), "secret"},
		{"no secret", change("n4gTKZpffHAdpyGSpbph5HebKRXcFwjI2d1A31PnlPk=", ""), "secret"},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, golden+tc.row+"\n"+golden, 2, tc.field, 0)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	with := func(change func(*keyfile.Record)) keyfile.Record { return sample.With(sample.Dave(), change) }
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"AES", sample.First(), "kind", true},
		{"HOTP", sample.Alice(), "kind", true},
		{"7 digits", with(func(r *keyfile.Record) { r.Digits = 7 }), "digits", true},
		{"15 s", with(func(r *keyfile.Record) { r.Period = 15 * time.Second }), "period", true},
		{"48 h", with(func(r *keyfile.Record) { r.Period = 48 * time.Hour }), "period", true},
		{"short seed", with(func(r *keyfile.Record) { r.Key = sample.Hex("3132") }), "key", true},
		{"no name", with(func(r *keyfile.Record) { r.Label = "" }), "serial", true},
		{"label", with(func(r *keyfile.Record) { r.Label = "a\nb" }), "label", true},
		{"nobody", with(func(r *keyfile.Record) { r.Owner = "" }), "owner", true},
		{"owner", with(func(r *keyfile.Record) { r.Owner = "a\nb" }), "owner", true},
		{"issuer", with(func(r *keyfile.Record) { r.Issuer = "Campus" }), "issuer", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestDetectAndHostileFiles(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{golden: 90, "\xEF\xBB\xBF" + strings.ReplaceAll(golden, "\n", "\r\n"): 90, "{}": 0, "": 0})
	sample.AssertNone(t, Codec{}, "\x00", "\xFF\xFE{", "{}", "null", "[]", strings.Repeat("[", 1<<20), `{"totp_import":[null]}`)
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{golden, strings.Replace(golden, "TOTP00900004", "7_1", 1), "{}", `{"totp_import":[{}]}`, "null", "\x00"}, sample.Sound())
}
