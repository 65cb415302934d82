package tokenname

import (
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		want keyfile.Record
	}{
		{"10200301_2", keyfile.Record{Serial: 10200301, Slot: 2}}, {"4294967295_1", keyfile.Record{Serial: 4294967295, Slot: 1}},
		{"4294967296_1", keyfile.Record{Label: "4294967296_1"}}, {"0_1", keyfile.Record{Label: "0_1"}}, {"01_1", keyfile.Record{Label: "01_1"}},
		{"1_3", keyfile.Record{Label: "1_3"}}, {"10200301", keyfile.Record{Label: "10200301"}}, {"x", keyfile.Record{Label: "x"}},
	} {
		var got keyfile.Record
		if Set(&got, tc.name); len(keyfile.Differences(got, tc.want)) > 0 || Of(got) != tc.name {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

func TestSerialsOfOurs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text   string
		serial token.Serial
		slot   token.Slot
	}{
		{"YUBIAES1_1", 1, 1}, {"YUBIAES4294967295_2", 4294967295, 2}, {"YUBIAES7", 7, 0},
		{"YUBIAES", 0, 0}, {"YUBIAES01_1", 0, 0}, {"YUBIAES0_1", 0, 0}, {"YUBIAES1_3", 0, 0}, {"YUBIAES1_", 0, 0},
		{"YUBIAES4294967296_1", 0, 0}, {"YUBIHOTP1_1", 0, 0}, {"UBAM10200301_1", 0, 0},
	} {
		rec := keyfile.Record{Kind: token.YubicoOTP}
		ok := SetSerial(&rec, tc.text)
		if rec.Serial != tc.serial || rec.Slot != tc.slot || (rec.Label == "") != (tc.serial != 0) || !ok || Serial(rec) != tc.text {
			t.Errorf("%s: serial %d, slot %d, label %q", tc.text, rec.Serial, rec.Slot, rec.Label)
		}
	}
}

func TestSerialsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a b", "a,b", "a.b", "jürgen", "12345678901234567890123456789012345678901"} {
		rec := keyfile.Record{Kind: token.TOTP}
		if ok := SetSerial(&rec, text); ok || Serial(rec) != "" || len(SerialLosses(rec)) != 1 || !SerialLosses(rec)[0].Fatal {
			t.Errorf("%q: %v, %q, %v", text, ok, Serial(rec), SerialLosses(rec))
		}
	}
}
