package usersoath

import (
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// reference is the line of reference key-files.md §8.1, byte for byte.
const reference = "HOTP/T30/6\tcarol\t-\t124f79a81d17d4ff235c3e1839e21312501bb968\n"

const (
	alice = "HOTP/E/6\talice\t-\t" + sample.SeedAlice + "\t0\n"
	bob   = "HOTP/E/8\tbob\t-\t" + sample.SeedBob + "\t42\n"
)

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
	minute := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Period, r.Digits = time.Minute, 7 })
	got, err := sample.Encode(Codec{}, sample.Carol(), sample.Alice(), sample.Bob(), minute)
	want := reference + alice + bob + strings.Replace(reference, "T30/6", "T60/7", 1)
	if err != nil || got != want {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	all := carried(sample.Carol(), sample.Alice(), sample.Bob())
	text := reference + alice + bob
	next := func(n int64) []keyfile.Record {
		return carried(sample.With(sample.Alice(), func(r *keyfile.Record) { r.Counter = n }))
	}
	for _, tc := range []struct {
		name, text string
		want       []keyfile.Record
	}{
		{"own", text, all}, {"CRLF", strings.ReplaceAll(text, "\n", "\r\n"), all}, {"BOM", "\xEF\xBB\xBF" + text, all},
		{"blanks", "# users\n\n" + strings.ReplaceAll(text, "\t", "  \t"), all},
		{"upper case", strings.ReplaceAll(text, sample.SeedBob, strings.ToUpper(sample.SeedBob)), all},
		{"short type", strings.Replace(alice, "HOTP/E/6", "HOTP", 1), next(0)}, {"no digits", strings.Replace(alice, "/6", "", 1), next(0)},
		{"no counter", strings.Replace(alice, "\t0", "", 1), next(0)},
		{"never used", strings.Replace(alice, "\t0", "\t7", 1), next(7)},
		{"used", strings.Replace(alice, "\t0", "\t0\t077987\t2026-03-01T10:00:00L", 1), next(1)},
		{"TOTP used", strings.Replace(reference, "\n", "\t0\t231834\t2026-03-01T10:00:00L\n", 1), all[:1]},
		{"password", strings.Replace(alice, "\t-\t", "\tse,cr\"et\t", 1), next(0)}, {"password elsewhere", strings.Replace(alice, "\t-\t", "\t+\t", 1), next(0)},
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
		{"type", "HOTP/E/8", "TOTP/E/8", "type", 1}, {"lower case", "HOTP/E/8", "hotp/E/8", "type", 1},
		{"15 seconds", "HOTP/E/8", "HOTP/T15/8", "type", 1}, {"5 digits", "HOTP/E/8", "HOTP/E/5", "type", 1},
		{"empty digits", "HOTP/E/8", "HOTP/E/", "type", 1}, {"digits without mode", "HOTP/E/8", "HOTP/8", "type", 1},
		{"HOTP twice", "HOTP/E/8", "HOTP/HOTP/8", "type", 1},
		{"owner", "bob", "=bob", "owner", 2}, {"comma", "bob", "b,ob", "line", 0}, {"quote", "bob", "b\"ob", "owner", 2},
		{"33 bytes", sample.SeedBob, strings.Repeat("a1", 33), "key", 4}, {"odd", "b18e", "b18", "key", 4}, {"short", sample.SeedBob, "00", "key", 4},
		{"base32", sample.SeedBob, "BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO", "key", 4},
		{"counter", "42", "-42", "counter", 5}, {"large counter", "42", "5000000000000000000", "counter", 5},
		{"few fields", "\t" + sample.SeedBob + "\t42", "", "row", 3},
	} {
		row := strings.Replace(bob, tc.old, tc.new, 1)
		sample.AssertBadRow(t, Codec{}, tc.name, "# users\n"+row+reference+alice, 2, tc.field, tc.column)
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
		{"SHA-256", sample.Dave(), "hash", true}, {"33 bytes", key(33), "key", true}, {"9 bytes", key(9), "key", true},
		{"15 seconds", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Period = 15 * time.Second }), "period", true},
		{"9 digits", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Digits = 9 }), "digits", true},
		{"counter", sample.With(sample.Bob(), func(r *keyfile.Record) { r.Counter = -1 }), "counter", true},
		{"Yubico OTP", sample.First(), "kind", true}, {"static", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Kind = token.Static }), "kind", true},
		{"no owner", owner(""), "owner", true}, {"blank", owner("ca rol"), "owner", true}, {"no-break space", owner("ca\u00a0rol"), "owner", true},
		{"new line", owner("carol\nHOTP"), "owner", true}, {"comma", owner("ca,rol"), "owner", true},
		{"label", sample.Carol(), "label", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	sample.AssertLoss(t, Codec{}, "32 bytes", key(32), "label", false)
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{
		reference: 90, "\xEF\xBB\xBF# users\r\n\r\n" + alice: 90, "HOTP a - 00": 90,
		"": 0, "HOTP\n": 0, "HOTPX a - 00\n": 0, "HOTP;a;b;c;d;e\n": 0, "carol " + reference: 0,
	})
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{reference + alice + bob, strings.ReplaceAll(reference, "\t", " \t "), strings.Replace(alice, "\t0", "\t0\t077987\tx", 1),
		"HOTP a " + strings.Repeat(",", 40), "HOTP/T60 a - 00", "\xEF\xBB\xBF#\r\n", "\xFF\xFE", "\x00"}, sample.Written(Codec{}))
}
