package migration

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// reference is the URI of reference key-files.md §8.6, byte for byte: carol and bob in export 4711.
const reference = "otpauth-migration://offline?data=CkoKFBJPeagdF9T%2FI1w%2BGDniExJQG7loEh5DYW1wdXMgTG9naW46Y2Fyb2xAZXhhbXBsZS5vcmcaDENhbXB1cyBMb2dpbiABKAEwAgpKChQOadNEHjBMAXJuKjFEVFfcV9CxjhIcQ2FtcHVzIExvZ2luOmJvYkBleGFtcGxlLm9yZxoMQ2FtcHVzIExvZ2luIAEoAjABOCoQARgBIAAo5yQ%3D"

// campus is a sample as an app knows it.
func campus(rec keyfile.Record) keyfile.Record {
	return sample.With(rec, func(r *keyfile.Record) { r.Label, r.Issuer, r.Owner = "", "Campus Login", r.Owner+"@example.org" })
}

func referenceRecords() []keyfile.Record {
	return []keyfile.Record{campus(sample.Carol()), campus(sample.Bob())}
}

func TestReference(t *testing.T) {
	t.Parallel()
	got, err := sample.Encode(Codec{Batch: 4711}, referenceRecords()...)
	if err != nil || got != reference+"\n" {
		t.Errorf("%v, got\n%s", err, got)
	}
	raw, _, _ := strings.Cut(reference, "offline?data=")
	escaped := strings.TrimPrefix(reference, raw+"offline?data=")
	plain, _ := url.QueryUnescape(escaped)
	for name, text := range map[string]string{"as it is": reference, "CRLF and BOM": "\xEF\xBB\xBF" + reference + "\r\n", "comment": "# scanned\n\n" + reference,
		"unescaped":        raw + "offline?data=" + plain,
		"+ read as blanks": raw + "offline?data=" + strings.ReplaceAll(plain, "+", " "),
		"no padding":       strings.TrimSuffix(reference, "%3D"),
		"lower escapes":    strings.NewReplacer("%2F", "%2f", "%2B", "%2b", "%3D", "%3d").Replace(reference),
		"other parameters": strings.Replace(reference, "?", "?a=b&", 1)} {
		sample.AssertRecords(t, Codec{}, name, text, referenceRecords())
	}
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{Batch: -7})
}

// uri is a payload of fields as a URI.
func uri(fields ...[]byte) string {
	var payload []byte
	for _, f := range fields {
		payload = append(payload, f...)
	}
	return prefix + url.QueryEscape(base64.StdEncoding.EncodeToString(payload))
}

func text(field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), s)
}

func number(field protowire.Number, v uint64) []byte { return appendNumber(nil, field, v) }

// entry is an account of fields beside carol's secret and name.
func entry(fields ...[]byte) []byte {
	inner := append(text(accountSecret, string(sample.Carol().Key.Reveal())), text(accountName, "carol")...)
	for _, f := range fields {
		inner = append(inner, f...)
	}
	return text(fieldAccount, string(inner))
}

func TestUnspecifiedAndUnknownFields(t *testing.T) {
	t.Parallel()
	want := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label = "" })
	for name, s := range map[string]string{
		"nothing":        uri(entry()),
		"zeros":          uri(entry(number(accountAlgorithm, 0), number(accountDigits, 0), number(accountType, 0), number(accountCounter, 0))),
		"TOTP's counter": uri(entry(number(accountType, typeTOTP), number(accountCounter, 9))),
		"unknown fields": uri(number(99, 1), entry(text(98, "x"), protowire.AppendFixed64(protowire.AppendTag(nil, 97, protowire.Fixed64Type), 1)), text(99, "y")),
	} {
		sample.AssertRecords(t, Codec{}, name, s, []keyfile.Record{want})
	}
	issuer := sample.With(want, func(r *keyfile.Record) { r.Issuer, r.Owner, r.Hash = "Campus", "dave", "sha512" })
	sample.AssertRecords(t, Codec{}, "issuer in the name only", uri(entry(text(accountName, "Campus:dave"), number(accountAlgorithm, 3))), []keyfile.Record{issuer})
}

func TestBadAccounts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, field string
		entry       []byte
	}{
		{"MD5", "hash", entry(number(accountAlgorithm, 4))},
		{"7 digits", "digits", entry(number(accountDigits, 3))},
		{"type", "type", entry(number(accountType, 3))},
		{"counter", "counter", entry(number(accountType, typeHOTP), number(accountCounter, 1<<63))},
		{"no secret", "key", text(fieldAccount, string(text(accountName, "carol")))},
		{"long secret", "key", entry(text(accountSecret, strings.Repeat("x", 65)))},
		{"name", "owner", entry(text(accountName, "\xff"))},
		{"control in the name", "owner", entry(text(accountName, "a\x00b"))},
		{"issuer", "issuer", entry(text(accountIssuer, "a\x00b"))},
		{"broken protobuf", "data", text(fieldAccount, "\x0a\x7fx")},
	} {
		recs, errs := sample.Decode(Codec{}, "# first\n"+uri(entry(), tc.entry, entry()))
		var bad *keyfile.RowError
		if len(recs) != 2 || len(errs) != 1 || !errors.As(errs[0], &bad) || bad.Field != tc.field || bad.Line != 2 || bad.Column != 2 {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
		}
	}
	recs, errs := sample.Decode(Codec{}, uri(entry(number(accountDigits, 3)), entry()))
	if len(recs) != 1 || len(errs) != 1 {
		t.Errorf("a bad account first: %d records, %v", len(recs), errs)
	}
}

func TestBadURIs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, field string }{
		{"other scheme", strings.Replace(reference, "-migration", "", 1), "data"},
		{"no data", strings.Replace(reference, "data=", "date=", 1), "data"},
		{"empty data", prefix, "data"},
		{"no base64", strings.Replace(reference, "CkoK", "Ck$K", 1), "data"},
		{"cut", reference[:len(reference)-40], "data"},
		{"no account", uri(number(fieldVersion, 1)), "data"},
		{"huge batch", uri(entry(), number(fieldSize, 1<<40)), "data"},
		{"negative batch", uri(entry(), number(fieldSize, 1<<63)), "data"},
		{"long line", reference + strings.Repeat("A", 5000), "line"},
		{"NUL", reference + "\x00", "line"},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, "# first\n"+tc.text+"\n"+reference, 2, tc.field, 0)
	}
	for name, want := range map[string]error{"\xFF\xFEo\x00": keyfile.ErrUTF16, "-----BEGIN PGP MESSAGE-----": keyfile.ErrOpenPGP} {
		if _, errs := sample.Decode(Codec{}, name); len(errs) != 1 || !errors.Is(errs[0], want) {
			t.Errorf("%q: %v", name, errs)
		}
	}
}

// many are n different accounts.
func many(n int) (out []keyfile.Record) {
	for i := range n {
		out = append(out, sample.With(campus(sample.Carol()), func(r *keyfile.Record) { r.Owner = fmt.Sprintf("carol%d", i) }))
	}
	return out
}

func TestBatches(t *testing.T) {
	t.Parallel()
	all, err := sample.Encode(Codec{Batch: 5}, many(25)...)
	lines := strings.SplitAfter(all, "\n")
	if err != nil || len(lines) != 4 { // the last is empty
		t.Fatalf("%v, %d lines", err, len(lines))
	}
	sample.AssertRecords(t, Codec{}, "whole", all, many(25))
	sample.AssertRecords(t, Codec{}, "another order, one twice", lines[2]+lines[1]+lines[1]+lines[0],
		append(append(many(25)[20:], append(many(25)[10:20], many(25)[10:20]...)...), many(25)[:10]...))
	for _, tc := range []struct {
		name, text, missing string
		good                int
	}{
		{"the last missing", lines[0] + lines[1], "3 codes, and 1 are missing: 3", 20},
		{"the first two missing", lines[2], "3 codes, and 2 are missing: 1, 2", 5},
		{"another export after half of one", lines[0] + lines[1] + reference, "3 codes, and 1 are missing: 3", 22},
	} {
		recs, errs := sample.Decode(Codec{}, tc.text)
		if len(recs) != tc.good || len(errs) != 1 || !keyfile.IsRow(errs[0]) || !strings.Contains(errs[0].Error(), tc.missing) {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
		}
	}
	e := Codec{}.NewEncoder(new(strings.Builder))
	for i, rec := range many(1001) {
		if err := e.Encode(rec); (i == 1000) != errors.Is(err, ErrTooMany) {
			t.Fatalf("account %d: %v", i, err)
		}
	}
}

// Every code fits into a QR code and a line, whatever the names and seeds are.
func TestLongAccounts(t *testing.T) {
	t.Parallel()
	long := sample.With(campus(sample.Carol()), func(r *keyfile.Record) {
		r.Issuer, r.Owner, r.Key = strings.Repeat("\u03ff", 127), strings.Repeat("\u07ff", 127), sample.Hex(strings.Repeat("fb", 64))
	})
	all, err := sample.Encode(Codec{Batch: -1}, long, long, long)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(all) {
		if len(line) > 2953 {
			t.Errorf("%d bytes do not fit into a QR code", len(line))
		}
	}
	sample.AssertRecords(t, Codec{}, "long", all, []keyfile.Record{long, long, long})
}

func TestLoss(t *testing.T) {
	t.Parallel()
	change := func(f func(*keyfile.Record)) keyfile.Record { return sample.With(campus(sample.Carol()), f) }
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"Yubico OTP", sample.First(), "kind", true},
		{"60 seconds", change(func(r *keyfile.Record) { r.Period = time.Minute }), "period", true},
		{"7 digits", change(func(r *keyfile.Record) { r.Digits = 7 }), "digits", true},
		{"colon", change(func(r *keyfile.Record) { r.Owner = "a:b" }), "owner", true},
		{"label", sample.Dave(), "label", false},
		{"no issuer", sample.Dave(), "issuer", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{reference: 95, "\xEF\xBB\xBF\n" + strings.ToUpper(reference): 95, "otpauth://totp/": 0, "": 0} {
		if got := (Codec{}).Detect([]byte(s)); got != want {
			t.Errorf("%q: %d", s, got)
		}
	}
}

// FuzzDecode holds the law that what is not refused comes back from a second export as it was.
func FuzzDecode(f *testing.F) {
	seeds := []string{reference, uri(entry()), uri(entry(number(accountDigits, 3)), entry(number(accountType, 1), number(accountCounter, 5)), number(fieldSize, 2)),
		uri(number(99, 1)), prefix, "\x00"}
	for _, s := range seeds {
		f.Add([]byte(s), false)
	}
	f.Add(append(entry(), entry(text(accountName, "x:y"))...), true)
	f.Fuzz(func(t *testing.T, b []byte, payload bool) {
		s := string(b)
		if payload { // straight into the protobuf
			s = uri(b)
		}
		sample.AssertFile(t, Codec{}, s)
	})
}
