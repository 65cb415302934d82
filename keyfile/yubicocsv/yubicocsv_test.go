package yubicocsv

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// reference is the file of reference key-files.md §7.1, byte for byte.
const reference = `10200301,vvccccknlfut,5c45bd4baca5,688a3c8423bd5e0811602fe6977ff4f2,,2026-03-01T10:00:01,
10200302,cbcdcecfcgch,e175d72cd304,deba785e2f83f2cb8c428744e2e36087,031b554b18a7,2026-03-01T10:00:02,
`

func TestEncodeReference(t *testing.T) {
	t.Parallel()
	got, err := sample.Encode(Codec{}, sample.First(), sample.Second())
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(reference, sample.Access2, "", 1); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestDecodeReference(t *testing.T) {
	t.Parallel()
	unknown := func(r *keyfile.Record) { r.Slot = 0 } // the file does not say it
	want := []keyfile.Record{sample.With(sample.First(), unknown), sample.With(sample.Second(), unknown)}
	for name, text := range map[string]string{"plain": reference, "CRLF": strings.ReplaceAll(reference, "\n", "\r\n"),
		"BOM": "\xEF\xBB\xBF" + reference, "no last end": strings.TrimSpace(reference), "comment": "# note\n\n" + reference} {
		sample.AssertRecords(t, Codec{}, name, text, want)
	}
}

func TestDecodeHOTP(t *testing.T) {
	t.Parallel()
	want := sample.With(sample.SlotHOTP(), func(w *keyfile.Record) {
		w.Slot, w.Counter, w.Label, w.Created = 0, 16, "ubnu00900001", sample.First().Created
	})
	text := "10200301,ubnu00900001,16," + sample.SeedAlice + ",000000000000,2026-03-01T10:00:01,\n"
	sample.AssertRecords(t, Codec{}, "HOTP", text, []keyfile.Record{want})
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	good := strings.Split(reference, "\n")[1]
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"header", "serial,public,private,key,access,time,", "serial", 1},
		{"traditional log", "Yubico OTP,01.03.26 10:00,1,vvccccknlfut,5c45bd4baca5,688a3c8423bd5e0811602fe6977ff4f2,,,0,0,0,0,0,0,0,0,0,0", "serial", 1},
		{"serial too large", strings.Replace(good, "10200302", "7777777777", 1), "serial", 1},
		{"serial with sign", strings.Replace(good, "10200302", "+10200302", 1), "serial", 1},
		{"short row", "10200302,cbcdcecfcgch", "row", 2},
		{"long row", good + "more", "row", 7},
		{"quoted", strings.Replace(good, "cbcdcecfcgch", `"cbcdcecfcgch"`, 1), "quotes", 2},
		{"hex public ID", strings.Replace(good, "cbcdcecfcgch", "010203040506", 1), "public-id", 2},
		{"odd public ID", strings.Replace(good, "cbcdcecfcgch", "cbcdcecfcgc", 1), "public-id", 2},
		{"short private ID", strings.Replace(good, "e175d72cd304", "e175d72cd3", 1), "private-id", 3},
		{"private ID no hex", strings.Replace(good, "e175d72cd304", "e175d72cd30g", 1), "private-id", 3},
		{"static", "10200302,,,deba785e2f83f2cb8c428744e2e36087,,2026-03-01T10:00:02,", "private-id", 3},
		{"short key", strings.Replace(good, "e36087,", "e360,", 1), "key", 4},
		{"modhex key", strings.Replace(good, "deba785e", "tunlijgt", 1), "key", 4},
		{"short access code", strings.Replace(good, "031b554b18a7", "031b55", 1), "access-code", 5},
		{"other time", strings.Replace(good, "2026-03-01T", "01.03.2026 ", 1), "created", 6},
		{"token identifier", "10200301,ub-1,0," + sample.SeedAlice + ",,,", "label", 2},
		{"challenge-response", "10200301,,," + sample.SeedAlice + ",,,", "private-id", 3},
		{"negative counter", "10200301,ubnu00900001,-5," + sample.SeedAlice + ",,,", "counter", 3},
		{"counter", "10200301,,99999999999999999999," + sample.SeedAlice + ",,,", "counter", 3},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, "# first line\n"+tc.row+"\n"+reference, 2, tc.field, tc.column)
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
		{"slot", sample.First(), "slot", false},
		{"access code", sample.Second(), "access-code", false},
		{"owner", sample.Alice(), "owner", false},
		{"no serial", sample.Alice(), "serial", false},
		{"TOTP", sample.Carol(), "kind", true},
		{"counter", sample.Bob(), "counter", true},
		{"digits", sample.With(sample.Alice(), func(r *keyfile.Record) { r.Digits = 8 }), "digits", true},
		{"hash", sample.With(sample.Alice(), func(r *keyfile.Record) { r.Hash = "sha256" }), "hash", true},
		{"long seed", sample.With(sample.Alice(), func(r *keyfile.Record) { r.Key = sample.Hex(sample.SeedDave) }), "key", true},
		{"no private ID", sample.With(sample.First(), func(r *keyfile.Record) { r.PrivateID = sample.Hex("") }), "private-id", true},
		{"short key", sample.With(sample.First(), func(r *keyfile.Record) { r.Key = sample.Hex("00") }), "key", true},
		{"long private ID", sample.With(sample.First(), func(r *keyfile.Record) { r.PrivateID = sample.Hex(sample.Key1) }), "private-id", true},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	if n := (Codec{}).Detect([]byte(reference)); n != 80 {
		t.Errorf("own file: %d", n)
	}
	if n := (Codec{}).Detect([]byte("UBOM00900002, 0e69d344, hotp, 8, 42\n")); n != 0 {
		t.Errorf("another file: %d", n)
	}
}
