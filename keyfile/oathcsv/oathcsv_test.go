package oathcsv

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The files of reference key-files.md §4.1 and §4.2, byte for byte.
const (
	referenceV1 = `UBOM00900002, 0e69d3441e304c01726e2a31445457dc57d0b18e, hotp, 8, 42
TOTP00900004, 9f8813299a5f7c701da72192a5ba61e4779b2915dc1708c8d9dd40df53e794f9, totp, 6, 30
YUBIAES10200301_1, 688a3c8423bd5e0811602fe6977ff4f2, yubikey, 44
`
	referenceV2 = `# version: 2
dave, people, campus, TOTP00900004, 9f8813299a5f7c701da72192a5ba61e4779b2915dc1708c8d9dd40df53e794f9, totp, 6, 30
, , , TOTP00900003, 124f79a81d17d4ff235c3e1839e21312501bb968, totp, 6, 30
`
)

var campus = Codec{Realm: "campus", Resolver: "people"}

func carolWithout() keyfile.Record {
	return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Owner = "" })
}

func TestEncodeReference(t *testing.T) {
	t.Parallel()
	got, err := sample.Encode(Codec{}, sample.Bob(), sample.Dave(), sample.First())
	if err != nil || got != referenceV1 {
		t.Errorf("version 1: %v, got\n%s", err, got)
	}
	got, err = sample.Encode(campus, sample.Dave(), carolWithout())
	if err != nil || got != referenceV2 {
		t.Errorf("version 2: %v, got\n%s", err, got)
	}
	two := sample.With(sample.First(), func(r *keyfile.Record) { r.Slot = 2; r.PublicID = token.PublicID{} })
	got, err = sample.Encode(Codec{}, two, sample.SlotHOTP())
	want := "YUBIAES10200301_2, " + sample.Key1 + ", yubikey, 32\nYUBIHOTP10200301_2, " + sample.SeedAlice + ", hotp, 6, 0\n"
	if err != nil || got != want {
		t.Errorf("slot 2: %v, got\n%s", err, got)
	}
}

// Of two rows with one serial privacyIDEA keeps the last: two slots of one key must differ even where the slots are unknown.
func TestUnknownSlotsDiffer(t *testing.T) {
	t.Parallel()
	unknown := func(r *keyfile.Record) { r.Serial, r.Slot = 10200301, 0 }
	recs := []keyfile.Record{sample.With(sample.First(), unknown), sample.With(sample.Second(), unknown)}
	got, err := sample.Encode(Codec{}, recs...)
	want := "YUBIAES10200301_vvccccknlfut, " + sample.Key1 + ", yubikey, 44\nYUBIAES10200301_cbcdcecfcgch, " + sample.Key2 + ", yubikey, 44\n"
	if err != nil || got != want {
		t.Errorf("%v, got\n%s", err, got)
	}
	if err := keyfile.Check(Codec{}, strings.NewReader(got), keyfile.All(recs)); err != nil {
		t.Error(err)
	}
	read, errs := sample.Decode(Codec{}, got)
	if len(errs) > 0 || len(read) != 2 || read[1].Serial != 10200301 || read[1].PublicID != recs[1].PublicID || read[1].Label != "" {
		t.Errorf("%v, read back %+v", errs, read)
	}
}

func TestDecodeReference(t *testing.T) {
	t.Parallel()
	aes := sample.With(sample.First(), func(r *keyfile.Record) { *r = (Codec{}).Carried(*r) })
	noOwner := func(r *keyfile.Record) { r.Owner = "" }
	v1 := []keyfile.Record{sample.With(sample.Bob(), noOwner), sample.With(sample.Dave(), noOwner), aes}
	v2 := []keyfile.Record{sample.Dave(), carolWithout()}
	for _, tc := range []struct {
		name, text string
		want       []keyfile.Record
	}{
		{"version 1", referenceV1, v1}, {"CRLF", strings.ReplaceAll(referenceV1, "\n", "\r\n"), v1},
		{"BOM", "\xEF\xBB\xBF" + referenceV1, v1}, {"tight", strings.ReplaceAll(referenceV1, ", ", ","), v1},
		{"upper case", strings.ToUpper(referenceV1), v1},
		{"version 2", referenceV2, v2}, {"version 2, BOM and CRLF", "\xEF\xBB\xBF" + strings.ReplaceAll(referenceV2, "\n", "\r\n"), v2},
		{"defaults", "TOTP00900003," + sample.SeedCarol + ",totp\nUBOM00900001," + sample.SeedAlice + "\n",
			[]keyfile.Record{carolWithout(), sample.With(sample.Alice(), noOwner)}},
		{"hmac", "UBOM00900001," + sample.SeedAlice + ",HMAC,,", []keyfile.Record{sample.With(sample.Alice(), noOwner)}},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, tc.text, tc.want)
	}
}

func TestImportRefusesYubikeyRows(t *testing.T) {
	t.Parallel()
	good := 0
	var bad *keyfile.RowError
	for rec, err := range keyfile.Import(Codec{}, strings.NewReader(referenceV1)) {
		switch {
		case err == nil:
			good++
		case !errors.As(err, &bad) || rec.Key.Len() != 0:
			t.Errorf("%v beside a key of %d bytes", err, rec.Key.Len())
		}
	}
	if good != 2 || bad == nil || bad.Line != 3 || bad.Field != "private-id" || !strings.Contains(bad.Cause, "yubico-csv") {
		t.Errorf("%d good, %v", good, bad)
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	rows := strings.Split(referenceV1, "\n")
	hotp, totp, aes := rows[0], rows[1], rows[2]
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"header", "serial, key, type, digits, counter", "type", 3},
		{"no comma", "UBOM00900002", "row", 1},
		{"serial", strings.Replace(hotp, "UBOM", "UB/OM", 1), "serial", 1},
		{"no serial", strings.Replace(hotp, "UBOM00900002", "", 1), "serial", 1},
		{"base32", strings.Replace(hotp, sample.SeedBob, "BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO", 1), "key", 2},
		{"odd", strings.Replace(hotp, "b18e", "b18", 1), "key", 2},
		{"no key", strings.Replace(hotp, sample.SeedBob, "", 1), "key", 2},
		{"65 bytes", strings.Replace(hotp, sample.SeedBob, strings.Repeat("a1", 65), 1), "key", 2},
		{"sha224", strings.Replace(hotp, sample.SeedBob, strings.Repeat("a1", 28), 1), "key", 2},
		{"sha384", strings.Replace(hotp, sample.SeedBob, strings.Repeat("a1", 48), 1), "key", 2},
		{"type", strings.Replace(hotp, "hotp", "daypassword", 1), "type", 3},
		{"digits", strings.Replace(hotp, ", 8,", ", 9,", 1), "digits", 4},
		{"digits text", strings.Replace(hotp, ", 8,", ", six,", 1), "digits", 4},
		{"counter", strings.Replace(hotp, "42", "-42", 1), "counter", 5},
		{"period", strings.Replace(totp, ", 30", ", 0", 1), "period", 5},
		{"LinOTP", totp + ", sha256", "hash", 6},
		{"quoted", strings.Replace(hotp, "UBOM00900002", `"UBOM00900002"`, 1), "quotes", 1},
		{"AES key", strings.Replace(aes, "f4f2", "f4f2ff", 1), "key", 2},
		{"OTP length", strings.Replace(aes, "44", "43", 1), "length", 4},
		{"OTP length low", strings.Replace(aes, "44", "6", 1), "length", 4},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, "# note\n"+tc.row+"\n"+referenceV1, 3, tc.field, tc.column)
	}
	row := strings.Split(referenceV2, "\n")[1]
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"formula", strings.Replace(row, "dave", "=dave()", 1), "owner", 1},
		{"formula in resolver", strings.Replace(row, "people", "@people", 1), "resolver", 2},
		{"formula in realm", strings.Replace(row, "campus", "+campus", 1), "realm", 3},
		{"control", strings.Replace(row, "dave", "da\x07ve", 1), "line", 0},
		{"version 1 row", hotp, "key", 5},
		{"too short", "a, b, c, d", "row", 4},
		{"digits", strings.Replace(row, ", 6,", ", 5,", 1), "digits", 7},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, strings.Replace(referenceV2, "\n", "\n"+tc.row+"\n", 1), 2, tc.field, tc.column)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	dave20 := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Key = sample.Hex(sample.SeedCarol) })
	owner := func(name string) keyfile.Record {
		return sample.With(sample.Dave(), func(r *keyfile.Record) { r.Owner = name })
	}
	for _, tc := range []struct {
		name  string
		codec Codec
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"private ID", Codec{}, sample.First(), "private-id", false},
		{"public ID", Codec{}, sample.First(), "public-id", false},
		{"access code", Codec{}, sample.Second(), "access-code", false},
		{"owner in version 1", Codec{}, sample.Dave(), "owner", false},
		{"41 characters", Codec{}, sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label = strings.Repeat("T", 41) }), "label", true},
		{"unknown slot", Codec{}, sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Slot = 0 }), "slot", false},
		{"sha256 with 20 bytes", Codec{}, dave20, "hash", true},
		{"sha1 with 32 bytes", Codec{}, sample.With(sample.Dave(), func(r *keyfile.Record) { r.Hash = "sha1" }), "hash", true},
		{"short seed", Codec{}, sample.With(sample.Bob(), func(r *keyfile.Record) { r.Key = sample.Hex("3132333435363738") }), "key", true},
		{"no name", Codec{}, sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label = "" }), "serial", true},
		{"label", Codec{}, sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label = "a, b" }), "label", true},
		{"static", Codec{}, sample.With(sample.First(), func(r *keyfile.Record) { r.Kind = token.Static }), "kind", true},
		{"period", Codec{}, sample.With(sample.Dave(), func(r *keyfile.Record) { r.Period = 1500e6 }), "period", true},
		{"digits", Codec{}, sample.With(sample.Dave(), func(r *keyfile.Record) { r.Digits = 9 }), "digits", true},
		{"counter", Codec{}, sample.With(sample.Bob(), func(r *keyfile.Record) { r.Counter = -1 }), "counter", true},
		{"comma", campus, owner("dave, root"), "owner", true},
		{"new line", campus, owner("dave\nroot"), "owner", true},
		{"formula", campus, owner("=1+1"), "owner", true},
		{"comment", campus, owner("#dave"), "owner", true},
		{"blank", campus, owner(" dave"), "owner", true},
		{"realm", Codec{Realm: "a,b"}, sample.Dave(), "realm", true},
		{"resolver", Codec{Realm: "a", Resolver: "-b"}, sample.Dave(), "resolver", true},
	} {
		sample.AssertLoss(t, tc.codec, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestHashGoesByTheKeysLength(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{10: "sha1", 20: "sha1", 31: "sha1", 32: "sha256", 33: "sha1", 63: "sha1", 64: "sha512"} {
		key := strings.Repeat("a1", n)
		recs, errs := sample.Decode(Codec{}, "T1, "+key+", totp, 6, 30\n")
		if len(errs) > 0 || len(recs) != 1 || recs[0].Hash != want {
			t.Errorf("%d bytes: %v", n, errs)
			continue
		}
		for _, hash := range keyfile.Hashes() {
			rec := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Key, r.Hash = sample.Hex(key), hash })
			if _, err := sample.Encode(Codec{}, rec); (err == nil) != (hash == want) {
				t.Errorf("%d bytes with %s: %v", n, hash, err)
			}
		}
	}
}

func TestHiddenSerial(t *testing.T) {
	t.Parallel()
	hidden := sample.With(sample.First(), func(r *keyfile.Record) { r.Serial = 0 })
	got, err := sample.Encode(Codec{}, hidden)
	if want := "vvccccknlfut, " + sample.Key1 + ", yubikey, 44\n"; err != nil || got != want {
		t.Errorf("%v, got %q", err, got)
	}
}
