package flextemplate

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// The templates of reference key-files.md §7.3; the first is the trap, the second its repair.
const (
	trapAES = "YUBIAES{serial}_{configSlot},{secretKeyTxt},yubikey"
	aes     = trapAES + ",{tokenLength}"
	hotp    = "YUBIHOTP{serial}_{configSlot},{secretKeyTxt},hotp,{hotpDigits}"
	whole   = "{eventType};{timestampFixed};{configSlot};{pubIdTxt};{secretKeyB64};{oathIdTxt};{hotpDigits};{oathMovingFactorSeed};{serial}{endl}"
)

// every has each of the 27 placeholders but {pvtIdTxt}, which HOTP has not, {secretKeyB64}, {timestampLocal} and {endl}.
const every = whole27 + "{tab}{tokenLength}"

const whole27 = "{eventType},{timestampFixed},{configSlot},{pubIdTxt},{oathIdTxt},{secretKeyTxt},{currentAccessCodeTxt},{currentAccessCodeTxtPadded}," +
	"{newAccessCodeTxt},{newAccessCodeTxtPadded},{hotpDigits},{oathMovingFactorSeed},{strongPw1},{strongPw2},{sendRef},{chalBtnTrig},{hmacLT64}," +
	"{oathFixedModhex1},{oathFixedModhex2},{oathFixedModhex},{serial}"

func parse(t testing.TB, template string) Codec {
	t.Helper()
	c, err := Parse(template)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLaws(t *testing.T) {
	t.Parallel()
	for _, template := range []string{aes, trapAES, whole, every, "{serial}:{pvtIdTxt}:{secretKeyTxt}", `"{serial}"{tab}"{secretKeyTxt}"{endl}`} {
		sample.AssertLaws(t, parse(t, template))
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	slotHOTP := sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Label, r.Digits, r.Counter = "ubnu00900001", 8, 16 })
	for _, tc := range []struct {
		template string
		rec      keyfile.Record
		want     string
	}{
		{trapAES, sample.First(), "YUBIAES10200301_1," + sample.Key1 + ",yubikey\n"},
		{aes, sample.First(), "YUBIAES10200301_1," + sample.Key1 + ",yubikey,44\n"},
		{hotp, sample.SlotHOTP(), "YUBIHOTP10200301_2," + sample.SeedAlice + ",hotp,6\n"},
		{whole, sample.First(), "Yubico OTP;2026-03-01T10:00:01;1;vvccccknlfut;aIo8hCO9XggRYC/ml3/08g==;;0;0;10200301\n"},
		{every, sample.Second(), "Yubico OTP,2026-03-01T10:00:02,2,cbcdcecfcgch,," + sample.Key2 +
			",,000000000000,,000000000000,0,0,0,0,0,0,0,0,0,0,10200302\t44\n"},
		{every, slotHOTP, "OATH-HOTP,,2,,ubnu00900001," + sample.SeedAlice + ",,000000000000,,000000000000,8,16,0,0,0,0,0,0,0,0,10200301\t20\n"},
	} {
		got, err := sample.Encode(parse(t, tc.template), tc.rec)
		if err != nil || got != tc.want {
			t.Errorf("%s: %v, got\n%swant\n%s", tc.template, err, got, tc.want)
		}
	}
}

// All 27 names of the tool are known: 25 in a row, {endl} at its end, and the local time is refused with its reason.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	names := strings.FieldsFunc(every+"{pvtIdTxt}{secretKeyB64}{timestampLocal}{endl}", func(c rune) bool { return strings.ContainsRune("{},", c) })
	if len(names) != 27 {
		t.Fatalf("%d names", len(names))
	}
	for _, n := range names {
		if _, err := Parse("x{" + n + "}"); (err == nil) == (n == "timestampLocal") {
			t.Errorf("%s: %v", n, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"{serial": "without }", "{}": "{}", "{sereal}": "{sereal}", "{serial}{configSlot}": "{configSlot}", "{serial}0{configSlot}": "{serial}",
		"{secretKeyTxt}a": "{secretKeyTxt}", "{serial},{serial}": "twice", "{serial}{endl}{configSlot}": "{endl}", "{endl}{endl}": "{endl}",
		"{timestampLocal},{serial}": "{timestampFixed}", "a\nb": "control", "\xff": "UTF-8", strings.Repeat("a", 1025): "longer",
		"{" + strings.Repeat("a", 500) + "}": "…",
	} {
		if _, err := Parse(template); !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%.30q: %v", template, err)
		}
	}
}

// privacyIDEA's suggested template stores a length of 6 and refuses every OTP.
func TestLengthTrap(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]bool{trapAES: true, aes: false, hotp: false} {
		if w := parse(t, template).Warnings(); (len(w) == 1) != want {
			t.Errorf("%s: %v", template, w)
		}
	}
	for _, l := range parse(t, trapAES).Loss(sample.First()) {
		if strings.Contains(l.Note, ",{tokenLength}") {
			return
		}
	}
	t.Error("the loss report does not warn")
}

func TestLoss(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, template string
		rec            keyfile.Record
		field          string
		fatal          bool
	}{
		{"TOTP", whole, sample.Carol(), "kind", true},
		{"no key", "{serial}", sample.First(), "key", true},
		{"no placeholder", "", sample.First(), "key", true},
		{"digits", "{secretKeyTxt}", sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Digits = 8 }), "digits", true},
		{"counter", hotp, sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Counter = 16 }), "counter", true},
		{"hash", whole, sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Hash = "sha256" }), "hash", true},
		{"32-byte seed", hotp, sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Key = sample.Hex(sample.SeedDave) }), "key", true},
		{"no private ID", "{pvtIdTxt},{secretKeyTxt}", sample.With(sample.First(), func(r *keyfile.Record) { r.PrivateID = sample.Hex("") }), "private-id", true},
		{"HOTP with private ID", "{pvtIdTxt},{secretKeyTxt}", sample.SlotHOTP(), "kind", true},
		{"private ID", aes, sample.First(), "private-id", false},
		{"access code", every, sample.Second(), "access-code", false},
		{"slot", "{serial},{secretKeyTxt}", sample.First(), "slot", false},
	} {
		sample.AssertLoss(t, parse(t, tc.template), tc.name, tc.rec, tc.field, tc.fatal)
	}
	sample.AssertLoss(t, Codec{}, "zero value", sample.First(), "kind", true)
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	row := "Yubico OTP;2026-03-01T10:00:01;1;vvccccknlfut;aIo8hCO9XggRYC/ml3/08g==;;0;0;10200301"
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"event", strings.Replace(row, "Yubico OTP", "Static Password", 1), "kind", 1},
		{"time", strings.Replace(row, "2026-03-01T", "01.03.26 ", 1), "created", 3},
		{"slot", strings.Replace(row, ";1;", ";3;", 1), "slot", 5},
		{"public ID", strings.Replace(row, "vvcccc", "vvaaaa", 1), "public-id", 7},
		{"key", strings.Replace(row, "aIo8", "aI*8", 1), "key", 9},
		{"key length", strings.Replace(row, "aIo8", "", 1), "key", 9},
		{"token identifier", strings.Replace(row, "==;;", "==;x;", 1), "label", 11},
		{"short", "Yubico OTP;", "row", 3},
	} {
		sample.AssertBadRow(t, parse(t, whole), tc.name, row+"\n"+tc.row+"\n"+row+"\r\n", 2, tc.field, tc.column)
	}
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\x00", "\xFF\xFEY\x00", "\xEF\xBB\xBF", strings.Repeat(";", 1<<20), "Yubico OTP;;;;;;;;\n", "YUBIAES1_1,,yubikey,44\n"} {
		for _, template := range []string{whole, aes, ""} {
			if recs, _ := sample.Decode(parse(t, template), text); len(recs) > 0 {
				t.Errorf("%s takes %.20q", template, text)
			}
		}
	}
}

// FuzzDecode holds that a template is refused or keeps the laws: a row that was read is written again as what was read.
func FuzzDecode(f *testing.F) {
	for _, template := range []string{aes, hotp, whole, every, "{serial}:{pvtIdTxt}:{secretKeyTxt}", "{", "{}", "{tab}{tab}"} {
		f.Add(template, "x")
		c, err := Parse(template)
		if err != nil {
			continue
		}
		for _, rec := range sample.Taken(c, sample.All()) {
			text, err := sample.Encode(c, rec)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(template, text)
		}
	}
	f.Fuzz(func(t *testing.T, template, text string) {
		c, err := Parse(template)
		if err != nil {
			return
		}
		sample.AssertFile(t, c, text)
		for _, rec := range sample.Taken(c, sample.All()) {
			again, err := sample.Encode(c, rec)
			if err != nil {
				t.Fatal(err)
			}
			sample.AssertRecords(t, c, "again", again, []keyfile.Record{c.Carried(rec)})
		}
	})
}
