package ykplog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

const (
	first = "Yubico OTP,12/11/2013 11:10,1,vvccccknlfut,5c45bd4baca5,688a3c8423bd5e0811602fe6977ff4f2,,,0,0,0,0,0,0,0,0,0,1"
	alice = "OATH-HOTP,11.12.13 18:55,2,ubnucccccccb,," + sample.SeedAlice + ",,,0,1,0,6,16,0,0,0,0,0"
)

func wantFirst() keyfile.Record {
	return sample.With(sample.First(), func(r *keyfile.Record) { r.Serial, r.Created = 0, time.Time{} })
}

func wantAlice() keyfile.Record {
	return sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Serial, r.Label, r.Counter = 0, "ubnu00000001", 16 })
}

func TestDecode(t *testing.T) {
	t.Parallel()
	both := []keyfile.Record{wantFirst(), wantAlice()}
	text := "LOGGING START,12/11/2013 11:10\n" + first + "\nLOGGING START,11.12.13 18:55\n" + alice + "\n"
	for name, text := range map[string]string{
		"two dates": text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "BOM": "\xEF\xBB\xBF" + text, "comment": "# log\n\n" + text,
		// reference key-files.md §0 fact 12
		"comma in the date":  strings.NewReplacer("12/11/2013 11:10", "11/12/13, 11:10 AM", "11.12.13 18:55", "den 11, dec, 2013").Replace(text),
		"date without value": strings.ReplaceAll(text, "12/11/2013 11:10", ""),
	} {
		sample.AssertRecords(t, Reader{}, name, text, both)
		if n := (Reader{}).Detect([]byte(text)); n != 100 {
			t.Errorf("%s: Detect says %d", name, n)
		}
	}
	translated := strings.Replace(alice, "OATH-HOTP", "OATH-HOTP-läge", 1)
	sample.AssertRecords(t, Reader{}, "translated HOTP", translated, both[1:])
	if n := (Reader{}).Detect([]byte(translated)); n != 70 {
		t.Errorf("translated: Detect says %d", n)
	}
	for _, other := range []string{"", "\n", "a,b,c,d,e,f,\n", ",,,,,,,,,,,,,,,,,,,\n", "10200301,vvccccknlfut,5c45bd4baca5,688a3c8423bd5e0811602fe6977ff4f2,,2026-03-01T10:00:01,\n"} {
		if n := (Reader{}).Detect([]byte(other)); n != 0 {
			t.Errorf("%q: Detect says %d", other, n)
		}
	}
}

func TestIdentifierAndAccessCode(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{"0,0,0": "e1be00000001", "1,0,0": "ubbe00000001", "0,1,0": "ubnu00000001", "0,0,1": "ubnucccccccb", "1,1,1": "ubnucccccccb"} {
		text := strings.Replace(alice, "0,1,0,6", flags+",6", 1)
		sample.AssertRecords(t, Reader{}, flags, text, []keyfile.Record{sample.With(wantAlice(), func(r *keyfile.Record) { r.Label = want })})
	}
	for codes, want := range map[string]string{ // before and after the write
		",": "", ",031b554b18a7": "031b554b18a7", "031b554b18a7,": "031b554b18a7", "000000000001,031b554b18a7": "031b554b18a7", "031b554b18a7,000000000000": "",
	} {
		text := strings.Replace(first, "f4f2,,,", "f4f2,"+codes+",", 1)
		sample.AssertRecords(t, Reader{}, "codes "+codes, text, []keyfile.Record{sample.With(wantFirst(), func(r *keyfile.Record) { r.AccessCode = sample.Hex(want) })})
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"static", "Static Password,11.12.13 19:07,1,,ba23877e747c,fe8abdf8c0c9b6ad6a1daabefa4d50b3,,,0,0,0,0,0,0,0,0,0,0", "event", 1},
		{"scan code", "Static Password: Scan Code,17.04.12 12:25,1,051212172c092728,,,,,0,0,0,0,0,0,0,0,0,0", "event", 1},
		{"challenge-response", "Challenge-Response: Yubico OTP,17.04.12,1,,,688a3c8423bd5e0811602fe6977ff4f2aabbccdd,,,0,0,0,0,0,0,0,0,0,1", "event", 1},
		{"swap", "Configuration Swap,17.04.12,0,,,,,,0,0,0,0,0,0,0,0,0,0", "event", 1},
		{"update", "Configuration Update,17.04.12,1,,,,,,0,0,0,0,0,0,0,0,0,0", "event", 1},
		{"short", "Yubico OTP,11.12.13,1,vvccccknlfut", "row", 4},
		{"no private ID", "Yubico OTP,11.12.13 18:58,1,,,a54c68c7c3d5a1fec8a0c85b8d60765b,,,0,0,0,0,0,0,0,0,0,0", "private-id", 5},
		{"hex public ID", strings.Replace(first, "vvccccknlfut", "ff0000009baa", 1), "public-id", 4},
		{"short key", strings.Replace(first, "7ff4f2", "7ff4", 1), "key", 6},
		{"slot", strings.Replace(first, ",1,vv", ",3,vv", 1), "slot", 3},
		{"date with comma", strings.Replace(strings.Replace(first, "7ff4f2", "7ff4", 1), "2013 ", "2013, ", 1), "key", 7},
		{"digits", strings.Replace(alice, ",6,16", ",7,16", 1), "digits", 12},
		{"flag", strings.Replace(alice, "0,1,0,6", "0,2,0,6", 1), "flag", 10},
		{"counter", strings.Replace(alice, ",6,16", ",6,-16", 1), "counter", 13},
		{"HOTP key", strings.Replace(alice, "d955,", "d9,", 1), "key", 6},
		{"access code", strings.Replace(first, "f4f2,,,", "f4f2,,03,", 1), "access-code", 8},
		{"quotes", `"` + first, "quotes", 1},
	} {
		sample.AssertBadRow(t, Reader{}, tc.name, "LOGGING START,1\n"+tc.row+"\n"+first+"\n"+alice+"\n", 2, tc.field, tc.column)
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{"\xFF\xFEL\x00": keyfile.ErrUTF16, "-----BEGIN PGP MESSAGE-----\n": keyfile.ErrOpenPGP} {
		if recs, errs := sample.Decode(Reader{}, text); len(recs) > 0 || len(errs) != 1 || !errors.Is(errs[0], want) {
			t.Errorf("%q: %v", text, errs)
		}
	}
	for _, text := range []string{strings.Repeat("\x00", 1<<20), strings.Repeat("a", 1<<20), strings.Repeat(",", 1<<12), first[:40]} {
		if recs, errs := sample.Decode(Reader{}, text); len(recs) > 0 || len(errs) != 1 || !keyfile.IsRow(errs[0]) {
			t.Errorf("%.20q: %d records, %v", text, len(recs), errs)
		}
	}
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	sample.AssertHostile(t, Reader{}, first+"\n"+alice+"\n")
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Reader{}, []string{first, alice, "LOGGING START,1, 2\n" + strings.Replace(first, "2013 ", "2013, ", 1), strings.Replace(first, "f4f2,,", "f4f2,,031b554b18a7", 1)}, sample.Sound(), func(t *testing.T, rec keyfile.Record) {
		if rec.Slot < 0 || rec.Slot > 2 {
			t.Errorf("slot %d", rec.Slot)
		}
	})
}
