package vault

import (
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

const golden = `{"name":"TOTP00900004","key":"T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q","algorithm":"SHA256","digits":6,"period":30,"issuer":"A&B \"C\"","account_name":"dave"}
`

func dave() keyfile.Record {
	return sample.With(sample.Dave(), func(r *keyfile.Record) { r.Issuer = `A&B "C"` })
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestEncode(t *testing.T) {
	t.Parallel()
	if got, err := sample.Encode(Codec{}, dave()); err != nil || got != golden {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"ours": golden, "CRLF": strings.ReplaceAll(golden, "\n", "\r\n"), "BOM": "\xEF\xBB\xBF" + golden,
		"padding": strings.Replace(golden, `ST4Q"`, `ST4Q===="`, 1), "blank lines": "\n" + golden + "\n"} {
		sample.AssertRecords(t, Codec{}, name, text, []keyfile.Record{dave()})
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	row := strings.TrimSpace(golden)
	change := func(old, with string) string { return strings.Replace(row, old, with, 1) }
	for _, tc := range []struct{ name, row, field string }{
		{"no JSON", "TOTP00900004", "line"},
		{"array", "[" + row + "]", "line"},
		{"two objects", row + row, "line"},
		{"cut", row[:len(row)-2], "line"},
		{"unknown member", change(`"digits"`, `"generate":true,"digits"`), "line"},
		{"digits as text", change(`:6,`, `:"6",`), "line"},
		{"digits", change(`:6,`, `:7,`), "digits"},
		{"no digits", change(`"digits":6,`, ``), "digits"},
		{"period", change(`:30,`, `:0,`), "period"},
		{"huge period", change(`:30,`, `:9223372036854775807,`), "period"},
		{"algorithm", change("SHA256", "HmacSHA256"), "algorithm"},
		{"lower case", change("SHA256", "sha256"), "algorithm"},
		{"path", change("TOTP00900004", "../sys"), "name"},
		{"no name", change("TOTP00900004", ""), "name"},
		{"key", change("T6EB", "T6E1"), "key"},
		{"no key", change("T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q", ""), "key"},
		{"account", change(`"dave"`, `" dave"`), "account_name"},
		{"issuer", change(`A&B`, `A\u0000B`), "issuer"},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, golden+tc.row+"\n"+golden, 2, tc.field, 0)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	with := func(change func(*keyfile.Record)) keyfile.Record { return sample.With(dave(), change) }
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"AES", sample.First(), "kind", true},
		{"HOTP", sample.Alice(), "kind", true},
		{"7 digits", with(func(r *keyfile.Record) { r.Digits = 7 }), "digits", true},
		{"period", with(func(r *keyfile.Record) { r.Period = 48 * time.Hour }), "period", true},
		{"short seed", with(func(r *keyfile.Record) { r.Key = sample.Hex("3132") }), "key", true},
		{"path", with(func(r *keyfile.Record) { r.Label = "a/b" }), "label", true},
		{"no name", with(func(r *keyfile.Record) { r.Label = "" }), "serial", true},
		{"owner", with(func(r *keyfile.Record) { r.Owner = "a\nb" }), "owner", true},
		{"issuer", with(func(r *keyfile.Record) { r.Issuer = "\xff" }), "issuer", true},
		{"serial", with(func(r *keyfile.Record) { r.Serial = 7 }), "serial", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestDetectAndHostileFiles(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{golden: 90, "\xEF\xBB\xBF" + strings.ReplaceAll(golden, "\n", "\r\n"): 90, "{}": 0, "": 0, `{"name":"x"}`: 0})
	sample.AssertNone(t, Codec{}, "\x00", "\xFF\xFE{", "{}", "null", "[]", "0", strings.Repeat("{", 1<<20), strings.Repeat(`{"a":`, 800)+strings.Repeat("}", 800))
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{golden, `{"name":"1_2","key":"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI","algorithm":"SHA1","digits":8,"period":60}`, "{}", "null", "\x00"}, sample.Sound())
}
