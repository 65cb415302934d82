package freeradius

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// reference is the line of reference key-files.md §8.8, byte for byte; carol's follows its text.
const (
	reference = "alice Yubikey-Key := 0x688a3c8423bd5e0811602fe6977ff4f2, Yubikey-Counter := 0\n"
	carol     = "carol TOTP-Secret := \"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI\"\n"
)

func alice() keyfile.Record {
	return sample.With(sample.First(), func(r *keyfile.Record) { r.Owner = "alice" })
}

func carried() []keyfile.Record {
	return []keyfile.Record{Codec{}.Carried(alice()), Codec{}.Carried(sample.Carol())}
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestEncodeReference(t *testing.T) {
	t.Parallel()
	if got, err := sample.Encode(Codec{}, alice(), sample.Carol()); err != nil || got != reference+carol {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestSecondLineOfAnAccount(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	e := Codec{}.NewEncoder(&b)
	again := sample.With(sample.Second(), func(r *keyfile.Record) { r.Owner = "alice" })
	var refused *keyfile.LossError
	if err := errors.Join(e.Encode(alice()), e.Encode(sample.Carol())); err != nil {
		t.Fatal(err)
	}
	if err := e.Encode(again); !errors.As(err, &refused) || refused.Loss.Field != "owner" || refused.Token != "10200302" {
		t.Errorf("%v", err)
	}
	if err := e.Close(); err != nil || b.String() != reference+carol {
		t.Errorf("%v, got\n%s", err, b.String())
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	text := reference + carol
	for name, text := range map[string]string{
		"own": text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "BOM": "\xEF\xBB\xBF# users\n\n" + text,
		"no counter": strings.Replace(text, ", Yubikey-Counter := 0", "", 1), "counter first": strings.Replace(text, "alice ", "alice Yubikey-Counter := 65537, ", 1),
		"no quotes": strings.ReplaceAll(text, "\"", ""), "tabs": strings.ReplaceAll(text, " ", "\t"), "padded": strings.Replace(text, "XOLI", "XOLI====", 1),
		"case": strings.NewReplacer("Yubikey", "YUBIKEY", "0x688a", "0x688A").Replace(text),
	} {
		if name == "counter first" {
			text = strings.Replace(text, ", Yubikey-Counter := 0", "", 1)
		}
		sample.AssertRecords(t, Codec{}, name, text, carried())
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, row, old, new, field string
		column                     int
	}{
		{"other attribute", reference, "Yubikey-Key", "Cleartext-Password", "attribute", 2}, {"operator", reference, ":= 0x", "== 0x", "operator", 3},
		{"no value", "bob Yubikey-Key :=", "", "", "operator", 3}, {"no attribute", "bob", "", "", "key", 2}, {"counter only", "bob Yubikey-Counter := 0", "", "", "key", 2},
		{"no 0x", reference, "0x", "", "key", 4}, {"short key", reference, "f4f2", "f4", "key", 5}, {"not hexadecimal", reference, "f4f2", "f4fx", "key", 5},
		{"base32 key", reference, "0x688a3c8423bd5e0811602fe6977ff4f2", "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI", "key", 4},
		{"counter", reference, ":= 0\n", ":= -1\n", "counter", 8}, {"both", reference, "Yubikey-Counter := 0", "TOTP-Secret := AAAAAAAA", "attribute", 6},
		{"lower case", carol, "XOLI", "xoli", "key", 4}, {"cut", carol, "XOLI", "XO", "key", 4}, {"50 bytes", carol, "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI", strings.Repeat("A", 80), "key", 4},
		{"quoted account", carol, "carol", "\"carol\"", "owner", 1}, {"comma in the account", carol, "carol", "ca,rol", "owner", 1},
		{"DEFAULT", carol, "carol", "DEFAULT", "owner", 1}, {"include", carol, "carol", "$INCLUDE", "owner", 1},
		{"reply list", carol, "carol", "\tcarol", "line", 0}, {"NUL", carol, "carol", "ca\x00rol", "line", 0},
	} {
		row := strings.TrimSuffix(strings.Replace(tc.row, tc.old, tc.new, 1), "\n")
		sample.AssertBadRow(t, Codec{}, tc.name, "# users\n"+row+"\n"+reference+carol, 2, tc.field, tc.column)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	owner := func(s string) keyfile.Record {
		return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Owner = s })
	}
	key := func(n int) keyfile.Record {
		return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Key = sample.Hex(strings.Repeat("a1", n)) })
	}
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"SHA-256", sample.Dave(), "hash", true}, {"HOTP", sample.Alice(), "kind", true}, {"50 bytes", key(50), "key", true},
		{"8 digits", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Digits = 8 }), "digits", true},
		{"60 seconds", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Period = time.Minute }), "period", true},
		{"public ID", sample.With(alice(), func(r *keyfile.Record) { r.PublicID, _ = token.NewPublicID(make([]byte, 8)) }), "public-id", true},
		{"replays", alice(), "counter", false}, {"private ID", alice(), "private-id", false},
		{"no owner", owner(""), "owner", true}, {"DEFAULT", owner("DEFAULT"), "owner", true}, {"include", owner("$INCLUDE"), "owner", true},
		{"blank", owner("ca rol"), "owner", true}, {"quote", owner("o'brien"), "owner", true}, {"new line", owner("a\nDEFAULT"), "owner", true},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	sample.AssertLoss(t, Codec{}, "49 bytes", key(49), "label", false)
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{
		reference: 95, "\xEF\xBB\xBF# x\r\n" + carol: 95,
		"": 0, "DEFAULT Auth-Type := Reject\n": 0, "alice\n": 0,
	})
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{reference + carol, strings.ReplaceAll(carol, "\"", ""), "a Yubikey-Counter:=0", "a TOTP-Secret := 0xAA", "0x a := 0x", ", , 0xx", "\xEF\xBB\xBF#", "\xFF\xFE"}, sample.Written(Codec{}))
}
