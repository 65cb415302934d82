package linotpcsv

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// reference is the row of reference key-files.md §5, a key of 20 bytes with SHA-256.
const reference = "TOTP00900009, " + sample.SeedCarol + ", totp, 6, 30, sha256\n"

const written = reference +
	"UBOM00900001, " + sample.SeedAlice + ", hotp, 6, , sha1\n" +
	"YUBIAES10200301_1, " + sample.Key1 + ", yubikey, 44,,\n" +
	"YUBIHOTP10200301_2, " + sample.SeedAlice + ", hotp, 6, , sha1\n"

func nine() keyfile.Record {
	return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label, r.Hash, r.Owner = "TOTP00900009", "sha256", "" })
}

func records() []keyfile.Record {
	return []keyfile.Record{nine(), sample.Alice(), sample.First(), sample.SlotHOTP()}
}

func carried(recs ...keyfile.Record) []keyfile.Record {
	for i := range recs {
		recs[i] = Codec{}.Carried(recs[i])
	}
	return recs
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestEncodeReference(t *testing.T) {
	t.Parallel()
	if got, err := sample.Encode(Codec{}, records()...); err != nil || got != written {
		t.Errorf("%v, got\n%s", err, got)
	}
}

// A token has the same serial in both files that LinOTP reads.
func TestSerialsAreThoseOfTheOATHCSV(t *testing.T) {
	t.Parallel()
	unknown := func(r keyfile.Record) keyfile.Record {
		return sample.With(r, func(r *keyfile.Record) { r.Slot = 0 })
	}
	hidden := sample.With(sample.First(), func(r *keyfile.Record) { r.Serial = 0 })
	for _, rec := range append(sample.All(), hidden, unknown(sample.First()), unknown(sample.SlotHOTP())) {
		rec.Counter = 0
		theirs, err1 := sample.Encode(oathcsv.Codec{}, rec)
		ours, err2 := sample.Encode(Codec{}, rec)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		want, _, _ := strings.Cut(theirs, ",")
		if got, _, _ := strings.Cut(ours, ","); got != want || got == "" {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	want := carried(records()...)
	long := func(seed, hash string) []keyfile.Record {
		return []keyfile.Record{sample.With(nine(), func(r *keyfile.Record) { r.Key, r.Hash = sample.Hex(seed), hash })}
	}
	seed64 := strings.Repeat("a1", 64)
	for _, tc := range []struct {
		name, text string
		want       []keyfile.Record
	}{
		{"own", written, want}, {"CRLF", strings.ReplaceAll(written, "\n", "\r\n"), want}, {"BOM", "\xEF\xBB\xBF# note\n" + written, want},
		{"tight", strings.ReplaceAll(written, ", ", ","), want}, {"hash in upper case", strings.ReplaceAll(written, "sha", "SHA"), want},
		{"version 1", "TOTP00900009," + sample.SeedCarol + ",totp,6,30", long(sample.SeedCarol, "sha1")},
		{"32 bytes", "TOTP00900009," + sample.SeedDave + ",totp", long(sample.SeedDave, "sha256")},
		{"64 bytes", "TOTP00900009," + seed64 + ",totp,6,30,", long(seed64, "sha512")},
		{"64 bytes, named", "TOTP00900009," + seed64 + ",totp,6,30,sha1", long(seed64, "sha1")},
		{"defaults", "UBOM00900001," + sample.SeedAlice, want[1:2]}, {"hmac", "UBOM00900001," + sample.SeedAlice + ",HMAC,,42", want[1:2]},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, tc.text, tc.want)
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, old, new, field string
		column                int
	}{
		{"header", reference, "serial, key, type, digits, step, hash\n", "type", 3}, {"one field", reference, "TOTP00900009\n", "row", 1},
		{"seven fields", "sha256", "sha256, x", "row", 7}, {"type", "totp", "ocra2", "type", 3}, {"serial", "TOTP0", "TO/P0", "serial", 1},
		{"no serial", "TOTP00900009", "", "serial", 1}, {"base32", sample.SeedCarol, "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI", "key", 2},
		{"short", sample.SeedCarol, "00", "key", 2}, {"digits", " 6,", " 9,", "digits", 4}, {"step", " 30,", " x,", "period", 5},
		{"hash", "sha256", "HMAC-SHA256", "hash", 6}, {"quotes", "totp", "\"totp\"", "quotes", 3},
		{"AES key", "totp, 6", "yubikey, 44", "key", 2}, {"OTP length", sample.SeedCarol + ", totp, 6", sample.Key1 + ", yubikey, 43", "length", 4},
	} {
		row := strings.Replace(reference, tc.old, tc.new, 1)
		sample.AssertBadRow(t, Codec{}, tc.name, "# note\n"+row+written, 4, tc.field, tc.column)
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
		{"counter", sample.Bob(), "counter", true}, {"owner", sample.Carol(), "owner", false},
		{"private ID", sample.First(), "private-id", false}, {"access code", sample.Second(), "access-code", false},
		{"no name", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label = "" }), "serial", true},
		{"label", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label = "a, b" }), "label", true},
		{"unknown slot", sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Slot = 0 }), "slot", false},
		{"short seed", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Key = sample.Hex("00") }), "key", true},
		{"hash", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Hash = "md5" }), "hash", true},
		{"static", sample.With(sample.First(), func(r *keyfile.Record) { r.Kind = token.Static }), "kind", true},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{
		written: 90, written[strings.Index(written, "YUBIAES"):]: 90, "# x\r\n" + written[len(reference):]: 90,
		"": 0, "UBOM00900002, 0e69, hotp, 8, 42\n": 0, "a,b,c,d,e,f\n": 0,
	})
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{written, strings.ToUpper(written), "a," + sample.SeedDave, "YUBIAES7_vvcc,00,yubikey,36", "# version: 2\n, , , a", "\xEF\xBB\xBF,\r\n", "\xFF\xFE"}, sample.Written(Codec{}))
}
