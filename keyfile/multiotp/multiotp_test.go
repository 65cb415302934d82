package multiotp

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// written follows the columns of reference key-files.md §8.8.
const written = "UBOM00900002;;HOTP;" + sample.SeedBob + ";8;42\n" +
	"TOTP00900003;;TOTP;" + sample.SeedCarol + ";6;30\n" +
	"YUBIHOTP10200301_2;;HOTP;" + sample.SeedAlice + ";6;0\n"

func records() []keyfile.Record {
	return []keyfile.Record{sample.Bob(), sample.Carol(), sample.SlotHOTP()}
}

func carried() (out []keyfile.Record) {
	for _, r := range records() {
		out = append(out, Codec{}.Carried(r))
	}
	return out
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestEncodeGolden(t *testing.T) {
	t.Parallel()
	if got, err := sample.Encode(Codec{}, records()...); err != nil || got != written {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"own": written, "CRLF": strings.ReplaceAll(written, "\n", "\r\n"), "BOM": "\xEF\xBB\xBF# note\n" + written,
		"commas": strings.ReplaceAll(written, ";", ","), "tabs": strings.ReplaceAll(written, ";", "\t"),
		"manufacturer": strings.ReplaceAll(written, ";;", ";Feitian Technology Co.;"), "lower case": strings.NewReplacer("HOTP;", "hotp;", "TOTP;", "totp;").Replace(written),
	} {
		sample.AssertRecords(t, Codec{}, name, text, carried())
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	bob := written[:strings.Index(written, "\n")+1]
	for _, tc := range []struct {
		name, old, new, field string
		column                int
	}{
		{"mOTP", "HOTP", "mOTP", "type", 3}, {"five fields", ";42", "", "row", 5}, {"seven fields", ";42", ";42;sha256", "row", 7},
		{"comma in the manufacturer", ";;", ";Feitian Technology Co.,Ltd;", "row", 7},
		{"serial", "UBOM", "UB OM", "serial", 1}, {"no serial", "UBOM00900002", "", "serial", 1}, {"digits", ";8;", ";9;", "digits", 5},
		{"counter", ";42", ";-1", "counter", 6}, {"period", "HOTP;" + sample.SeedBob + ";8;42", "TOTP;" + sample.SeedBob + ";8;0", "period", 6},
		{"base32", sample.SeedBob, "BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO", "key", 4}, {"quotes", "HOTP", "\"HOTP\"", "quotes", 3},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, "# note\n"+strings.Replace(bob, tc.old, tc.new, 1)+written, 3, tc.field, tc.column)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"SHA-256", sample.Dave(), "hash", true}, {"Yubico OTP", sample.First(), "kind", true}, {"owner", sample.Carol(), "owner", false},
		{"label", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label = "a;b" }), "label", true},
		{"no name", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label = "" }), "serial", true},
		{"short seed", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Key = sample.Hex("00") }), "key", true},
		{"unknown slot", sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Slot = 0 }), "slot", false},
		{"counter", sample.With(sample.Bob(), func(r *keyfile.Record) { r.Counter = -1 }), "counter", true},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{
		written: 90, strings.ReplaceAll(written, ";;", ",Feitian,"): 90, "# x\r\n" + written: 90,
		"": 0, "UBOM00900002, 0e69, hotp, 8, 42\n": 0, "a;b;c;d;e;f\n": 0, "a;HOTP\n": 0, "UBOM00900001, " + sample.SeedAlice + ", hotp, 6, , sha1\n": 0,
		"TOTP00900009, 00, totp, 6, 30, sha256\n": 0,
	})
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{written, strings.ReplaceAll(written, ";", "\t"), "a;b;totp;" + sample.SeedDave + ";;", "a,,,,,", "\xEF\xBB\xBF;\r\n", "\xFF\xFE"}, sample.Written(Codec{}))
}
