package googleauth

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// written is the file of reference key-files.md §8.2 without its recovery codes; reference is the whole.
const (
	written = `CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI
" RATE_LIMIT 3 30
" WINDOW_SIZE 3
" DISALLOW_REUSE
" TOTP_AUTH
`
	reference = written + "27184590\n31415926\n"
)

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestEncodeGolden(t *testing.T) {
	t.Parallel()
	hotp := "ZDCIYHSJZO5TKUL6J5AU6JSXT6AILWKV\n\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 17\n\" HOTP_COUNTER 1\n"
	counter := func(n int64) keyfile.Record {
		return sample.With(sample.Alice(), func(r *keyfile.Record) { r.Counter = n })
	}
	for _, tc := range []struct {
		name string
		rec  keyfile.Record
		want string
	}{
		{"TOTP", sample.Carol(), written},
		{"60 seconds", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Period = time.Minute }),
			strings.Replace(written, "\" TOTP", "\" STEP_SIZE 60\n\" TOTP", 1)},
		{"counter 0", counter(0), hotp}, {"counter 1", counter(1), hotp},
		{"counter 16", counter(16), strings.Replace(hotp, "COUNTER 1", "COUNTER 16", 1)},
		{"no padding", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Key = sample.Hex("0102030405060708090a0b") }),
			"AEBAGBAFAYDQQCIKBM" + written[strings.Index(written, "\n"):]},
	} {
		if got, err := sample.Encode(Codec{}, tc.rec); err != nil || got != tc.want {
			t.Errorf("%s: %v, got\n%s", tc.name, err, got)
		}
	}
	if _, err := sample.Encode(Codec{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty file: %v", err)
	}
}

func TestOneFileAnAccount(t *testing.T) {
	t.Parallel()
	var refused *keyfile.LossError
	got, err := sample.Encode(Codec{}, sample.Carol(), sample.Alice())
	if !errors.As(err, &refused) || refused.Loss.Field != "owner" || got != written {
		t.Errorf("%v, got\n%s", err, got)
	}
	if !(Codec{}).PerOwner() {
		t.Error("not per owner")
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	carol := (Codec{}).Carried(sample.Carol())
	alice := sample.With((Codec{}).Carried(sample.Alice()), func(r *keyfile.Record) { r.Counter = 7 })
	minute := sample.With(carol, func(r *keyfile.Record) { r.Period = time.Minute })
	hotp := "ZDCIYHSJZO5TKUL6J5AU6JSXT6AILWKV\n\" HOTP_COUNTER 7\n"
	for _, tc := range []struct {
		name, text string
		want       keyfile.Record
	}{
		{"reference", reference, carol}, {"CRLF", strings.ReplaceAll(reference, "\n", "\r\n"), carol}, {"BOM", "\xEF\xBB\xBF" + reference, carol},
		{"lower case", strings.ToLower(written[:32]) + written[32:], carol},
		{"grouped", "CJHX TKA5-C7KP\t6I24HYMDTYQTCJIBXOLI" + written[32:], carol},
		{"misread letters", "CJHXTKA5C7KP6I24HYMDTYQTCJI8X01I" + written[32:], carol},
		{"no last newline", strings.TrimSpace(written), carol},
		{"used", strings.NewReplacer("3 30", "3 30 1795298964", "REUSE", "REUSE 59843298").Replace(reference), carol},
		{"last hosts", written + "\" LAST0 10.0.0.1 1795298964\n\" RESETTING_TIME_SKEW 1+2\n", carol},
		{"no drift", written + "\" TIME_SKEW 0\n", carol},
		{"60 seconds", written + "\" STEP_SIZE 60\n", minute},
		{"HOTP", hotp, alice}, {"HOTP wins", hotp + "\" TOTP_AUTH\n", alice},
		{"HOTP 0 beside TOTP", written + "\" HOTP_COUNTER 0\n", carol},
		{"options after the codes", written[:33] + "27184590\n" + written[33:], carol},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, tc.text, []keyfile.Record{tc.want})
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	second := func(line string) string { return written[:33] + "\" " + line + "\n" + written[33:] }
	for _, tc := range []struct{ name, text, field string }{
		{"padding", "CJHXTKA5C7KP6I24HY======" + written[32:], "key"},
		{"no base32", "CJHXTKA5C7KP6I24HY$DTYQTCJIBXOLI" + written[32:], "key"},
		{"letters that grow", strings.Repeat("\u0250", 32) + written[32:], "key"},
		{"cut letter", written[2:], "key"},
		{"65 bytes", strings.Repeat("A", 104) + written[32:], "key"},
		{"empty first line", "\n" + written, "key"},
		{"blank secret", " - \n" + written, "key"},
		{"options only", written[33:], "key"},
		{"no mode", written[:strings.Index(written, "\" TOTP")], "type"},
		{"HOTP off", written[:33] + "\" HOTP_COUNTER 0\n", "type"},
		{"period 0", second("STEP_SIZE 0"), "period"}, {"period 61", second("STEP_SIZE 61"), "period"},
		{"window", second("WINDOW_SIZE 101"), "window"}, {"rate", second("RATE_LIMIT 101 30"), "rate limit"},
		{"rate's time", second("RATE_LIMIT 3 3601"), "rate limit"},
		{"counter", second("HOTP_COUNTER -1"), "counter"}, {"counter text", second("HOTP_COUNTER a,b"), "counter"},
		{"drift", second("TIME_SKEW -3"), "drift"}, {"twice", second("TOTP_AUTH"), "option"},
		{"NUL", strings.Replace(written, "RATE", "RA\x00E", 1), "line"},
		{"long line", second(strings.Repeat("A", 5000)), "line"},
	} {
		recs, errs := sample.Decode(Codec{}, tc.text)
		var bad *keyfile.RowError
		if len(recs) > 0 || len(errs) != 1 || !errors.As(errs[0], &bad) || bad.Field != tc.field {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
			continue
		}
		if echo := sample.Echo(bad, tc.text); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, bad, echo)
		}
	}
}

// zeros never ends.
type zeros struct{ read int }

func (z *zeros) Read(p []byte) (int, error) { clear(p); z.read += len(p); return len(p), nil }

func TestStops(t *testing.T) {
	t.Parallel()
	endless := new(zeros)
	for _, tc := range []struct {
		name string
		in   io.Reader
		want error // nil: a *keyfile.RowError
	}{
		{"empty", strings.NewReader(""), ErrEmpty}, {"blank", strings.NewReader("\n \n"), ErrEmpty},
		{"large", strings.NewReader(reference + strings.Repeat("27184590\n", 8000)), ErrTooLarge},
		{"UTF-16", strings.NewReader("\xFF\xFEC\x00"), keyfile.ErrUTF16},
		{"OpenPGP", strings.NewReader("-----BEGIN PGP MESSAGE-----\n"), keyfile.ErrOpenPGP},
		{"endless zeros", endless, nil},
	} {
		n := 0
		for rec, err := range (Codec{}).Decode(tc.in) {
			if n++; rec.Key.Len() > 0 || err == nil || (tc.want != nil && !errors.Is(err, tc.want)) || (tc.want == nil && !keyfile.IsRow(err)) {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d results", tc.name, n)
		}
	}
	if endless.read > maxFile+1 {
		t.Errorf("read %d bytes of an endless file", endless.read)
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
		{"SHA-256", sample.Dave(), "hash", true}, {"8 digits", sample.Bob(), "digits", true},
		{"61 seconds", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Period = 61 * time.Second }), "period", true},
		{"Yubico OTP", sample.First(), "kind", true},
		{"no key", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Key = sample.Hex("") }), "key", true},
		{"counter", sample.With(sample.Alice(), func(r *keyfile.Record) { r.Counter = -1 }), "counter", true},
		{"counter 0", sample.Alice(), "counter", false}, {"owner", sample.Carol(), "owner", false}, {"label", sample.Carol(), "label", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	for _, l := range (Codec{}).Loss(sample.Alice()) {
		if l.Field == "counter" && !strings.Contains(l.Note, "first code away") {
			t.Errorf("the note does not say what to do: %s", l.Note)
		}
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{
		reference: 95, "\xEF\xBB\xBF" + strings.ReplaceAll(reference, "\n", "\r\n"): 95, "ab c-d\n\" HOTP_COUNTER 1\n": 95,
		"": 0, written[:33]: 0, written[33:]: 0, "a,b\n\" TOTP_AUTH\n": 0, "\n\" TOTP_AUTH\n": 0,
	})
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{reference, strings.ToLower(reference), "ZDCIYHSJZO5TKUL6J5AU6JSXT6AILWKV\r\n\" HOTP_COUNTER 7\r\n", "AA\n\" STEP_SIZE 60\n\" TOTP_AUTH",
		written + "\" TIME_SKEW -3\n", "", "\n", "\xFF\xFE", "\" TOTP_AUTH\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sample.AssertFile(t, Codec{}, text, sample.Sound(token.HOTP, token.TOTP), sample.Written(Codec{}))
		recs, errs := sample.Decode(Codec{}, text)
		if len(recs)+len(errs) != 1 {
			t.Fatalf("%d records, %v", len(recs), errs)
		}
	})
}
