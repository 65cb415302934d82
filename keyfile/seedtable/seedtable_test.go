package seedtable

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The seeds of sample in base32. Source: reference key-files.md §2.
const (
	base32Alice = "ZDCIYHSJZO5TKUL6J5AU6JSXT6AILWKV"
	base32Bob   = "BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO"
	base32Carol = "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI"
)

func totp(label, seed string, seconds int) keyfile.Record {
	return keyfile.Record{Kind: token.TOTP, Label: label, Key: sample.Hex(seed), Digits: 6, Hash: "sha1", Period: time.Duration(seconds) * time.Second}
}

func hotp(label, seed string, counter int64) keyfile.Record {
	return keyfile.Record{Kind: token.HOTP, Label: label, Key: sample.Hex(seed), Digits: 6, Hash: "sha1", Counter: counter}
}

func owned(r keyfile.Record, owner string) keyfile.Record { r.Owner = owner; return r }

// sixty is what the operator answers.
var sixty = Reader{Options: Options{Period: time.Minute}}

// TestVendors reads what vendors send and servers ask for. Source: reference key-files.md §8.9, §9.
func TestVendors(t *testing.T) {
	t.Parallel()
	a, b := totp("2600135004013", sample.SeedAlice, 60), totp("2600135004014", sample.SeedBob, 60)
	for _, tc := range []struct {
		name   string
		reader Reader
		text   string
		want   []keyfile.Record
	}{
		{"Feitian", sixty, "2600135004013 " + base32Alice + "\n2600135004014 " + base32Bob + "\n", []keyfile.Record{a, b}},
		{"Feitian HOTP", Reader{Options: Options{Kind: token.HOTP}}, "2600135004013  " + sample.SeedAlice + "\r\n2600135004014\t" + strings.ToUpper(sample.SeedBob) + "\r\n",
			[]keyfile.Record{hotp("2600135004013", sample.SeedAlice, 0), hotp("2600135004014", sample.SeedBob, 0)}},
		{"title of two words", sixty, "Serial Number Secret Key\n2600135004013 " + base32Alice + "\n2600135004014 " + base32Bob, []keyfile.Record{a, b}},
		{"Entra", Reader{}, "upn,serial number,secret key,time interval,manufacturer,model\nada@example.org,2600135004013," + base32Alice + ",60,Feitian,c200\n,2600135004014," +
			base32Bob + ",60,Feitian,c200\n", []keyfile.Record{owned(a, "ada@example.org"), b}},
		{"Deepnet", Reader{}, "serial number,secret key,time interval,manufacturer,model\n2600135004013," + sample.SeedAlice + ",60,Deepnet Security,SafeID/Classic\n", []keyfile.Record{a}},
		{"no header, Entra's order", Reader{}, "ada@example.org,2600135004013," + base32Alice + ",60,Feitian,c200\n", []keyfile.Record{owned(a, "ada@example.org")}},
		{"Duo TOTP", Reader{}, "2600135004013," + sample.SeedAlice + ",60\n2600135004014," + sample.SeedBob + ",60\n", []keyfile.Record{a, b}},
		{"PingID HOTP", Reader{Options: Options{Kind: token.HOTP}}, "2600135004013," + sample.SeedAlice + ",0\n2600135004014," + sample.SeedBob + ",7",
			[]keyfile.Record{hotp("2600135004013", sample.SeedAlice, 0), hotp("2600135004014", sample.SeedBob, 7)}},
		{"NetIQ", Reader{}, "Token003; " + sample.SeedAlice + "; hotp; 6\nToken004; " + sample.SeedBob + "; totp; 6; 60\n",
			[]keyfile.Record{hotp("Token003", sample.SeedAlice, 0), totp("Token004", sample.SeedBob, 60)}},
		{"multiOTP", Reader{}, "Token003;Feitian;HOTP;" + sample.SeedAlice + ";6;42\nToken004;Feitian;TOTP;" + sample.SeedBob + ";6;60\n",
			[]keyfile.Record{hotp("Token003", sample.SeedAlice, 42), totp("Token004", sample.SeedBob, 60)}},
		{"PhenixID", Reader{}, "TOTP;2600135004013;SHA256;" + sample.SeedAlice + ";0;60;6\n", []keyfile.Record{sample.With(a, func(r *keyfile.Record) { r.Hash = "sha256" })}},
		{"PhenixID HOTP", Reader{}, "HOTP;2600135004013;" + sample.SeedAlice + ";42\n", []keyfile.Record{hotp("2600135004013", sample.SeedAlice, 42)}},
		{"all columns", Reader{}, "SN|Token Type|Algorithm|Digits|Counter|Period|Issuer|User|Seed\nx1|HOTP|HmacSHA512|8|5||Campus|ada|" + sample.SeedAlice + "\nx2|Time-based|SHA-256|7|9|30s|||" + sample.SeedBob,
			[]keyfile.Record{
				{Kind: token.HOTP, Label: "x1", Key: sample.Hex(sample.SeedAlice), Digits: 8, Hash: "sha512", Counter: 5, Issuer: "Campus", Owner: "ada"},
				{Kind: token.TOTP, Label: "x2", Key: sample.Hex(sample.SeedBob), Digits: 7, Hash: "sha256", Period: 30 * time.Second}}},
		{"Excel's own", sixty, "sep=;\nserial;seed\n=\"2600135004013\";\"" + base32Alice + "\"\n", []keyfile.Record{a}},
		{"quotes", sixty, "serial,user,seed\n2600135004013,\"Ada \"\"Countess\"\", L\"," + base32Alice + "\n", []keyfile.Record{owned(a, `Ada "Countess", L`)}},
		{"name first", sixty, "Ada Lovelace;2600135004013;" + base32Alice + "\nGrace Hopper;2600135004014;" + base32Bob, []keyfile.Record{a, b}},
		{"groups", sixty, "# batch 12\n2600135004013," + strings.Join([]string{"zdci", "yhsj", "zo5t", "kul6", "j5au", "6jsx", "t6ai", "lwkv"}, " ") + "\n", []keyfile.Record{a}},
		{"header again", sixty, "serial,seed\n2600135004013," + base32Alice + "\nserial,seed\n2600135004014," + base32Bob + "\n", []keyfile.Record{a, b}},
		{"declared", sixty, "serial,Secret Key (Base32)\n2600135004013,234567ABCDEF234567ABCDEF234567AB\n", []keyfile.Record{totp("2600135004013", "d6f9df7c0110c85d6f9df7c0110c85d6f9df7c01", 60)}},
	} {
		sample.AssertRecords(t, tc.reader, tc.name, tc.text, tc.want)
	}
}

func TestOptionsBeatTheFile(t *testing.T) {
	t.Parallel()
	text := "serial,secret key (hex),type,digits,algorithm,interval\nx1," + sample.SeedAlice + ",HOTP,8,sha256,30\n"
	want := totp("x1", sample.SeedAlice, 60)
	want.Digits, want.Hash = 7, "sha512"
	r := Reader{Options: Options{Kind: token.TOTP, Digits: 7, Hash: "sha512", Period: time.Minute, Encoding: Hex}}
	sample.AssertRecords(t, r, "options", text, []keyfile.Record{want})
	raw := "x1," + base32Alice + "\n"
	r.Encoding = ASCII
	recs, errs := sample.Decode(r, raw)
	if len(errs) > 0 || len(recs) != 1 || string(recs[0].Key.Reveal()) != base32Alice {
		t.Errorf("%v, %d records", errs, len(recs))
	}
}

func TestThePeriodIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		opts Options
		need bool
	}{
		"none":             {"x1," + base32Alice + "\n", Options{}, true},
		"an empty one":     {"serial,seed,interval\nx1," + base32Alice + ",\n", Options{}, true},
		"column":           {"serial,seed,interval\nx1," + base32Alice + ",30\n", Options{}, false},
		"option":           {"x1," + base32Alice + "\n", Options{Period: time.Minute}, false},
		"HOTP":             {"x1," + base32Alice + "\n", Options{Kind: token.HOTP}, false},
		"HOTP by column":   {"x1,hotp," + base32Alice + "\n", Options{}, false},
		"TOTP by column":   {"x1,totp," + base32Alice + "\n", Options{}, true},
		"one TOTP of many": {"x1,hotp," + base32Alice + "\nx2,totp," + base32Bob, Options{}, true},
	} {
		r := Reader{Options: tc.opts}
		report, err := r.Survey(strings.NewReader(tc.text))
		if err != nil || report.NeedsPeriod() != tc.need {
			t.Errorf("%s: %v, %v", name, report.Period, err)
		}
		recs, errs := sample.Decode(r, tc.text)
		if tc.need != (len(errs) == 1 && errors.Is(errs[0], ErrPeriod)) || tc.need == (len(recs) > 0) {
			t.Errorf("%s: %d records, %v", name, len(recs), errs)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	// Alice's and Bob's rows could be hexadecimal only; the third could be base32 as well; the fourth has a letter too much.
	text := "Serial;Seed;Colour\n1;" + sample.SeedAlice + ";red\n2;" + sample.SeedBob + ";red\n3;22334455667722334455667722334455667722AA;red\n4;c8c48c1e49cbbb35517e4f414f26579f8085d95z;red\n"
	report, err := Reader{}.Survey(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := report.Seed
	if d.Encoding != Hex || d.From != Majority || d.Confidence() != 75 || d.Rows != 4 || d.Votes[0] != (Vote{Hex, 3, 2}) || d.Votes[1] != (Vote{Base32, 1, 0}) {
		t.Errorf("%+v, %d%%", d, d.Confidence())
	}
	if report.Charset != UTF8 || report.Separator != Semicolon || !report.Header || report.Rows != 4 || !report.NeedsPeriod() {
		t.Errorf("%+v", report)
	}
	said := fmt.Sprint(report.Findings())
	for _, want := range []string{"column 3 (Colour): not read", "seeds: hex (majority, 75% of 4 rows, 2 of them nothing else; base32 would fit 1)", "totp (default)", "period: unknown"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %s", want, said)
		}
	}
	r := sixty
	recs, errs := sample.Decode(r, text)
	if len(recs) != 3 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "line 5, column 2 (key): not hexadecimal, as 75% of the sampled rows are") {
		t.Errorf("%d records, %v", len(recs), errs)
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	good := "26001350040%02d;" + sample.SeedAlice + ";60;ada;totp;6;sha1"
	head := "serial;seed;period;user;type;digits;hash"
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"odd", "2600135004001;" + sample.SeedAlice[1:] + ";60", "key", 2},
		{"letters", "2600135004001;" + "xyz" + sample.SeedAlice[3:] + ";60", "key", 2},
		{"short", "2600135004001;" + sample.SeedAlice[:30] + ";60", "key", 2},
		{"long", "2600135004001;" + strings.Repeat(sample.SeedAlice, 4) + ";60", "key", 2},
		{"no seed", "2600135004001;;60", "key", 2},
		{"base32 among hex", "2600135004001;" + base32Alice + ";60", "key", 2},
		{"scientific serial", "1.00012E+12;" + sample.SeedAlice + ";60", "serial", 1},
		{"scientific serial, comma", "1,00012E+12;" + sample.SeedAlice + ";60", "serial", 1},
		{"scientific seed", "2600135004001;1.24798E+47;60", "key", 2},
		{"leading zeros gone", "26135004001;" + sample.SeedAlice + ";60", "serial", 1},
		{"no serial", ";" + sample.SeedAlice + ";60", "serial", 1},
		{"out of place", sample.SeedAlice + ";2600135004001;60", "serial", 1},
		{"too few", "2600135004001", "row", 1},
		{"open quote", `2600135004001;"` + sample.SeedAlice + ";60", "quotes", 2},
		{"text after a quote", `"2600135004001"a;` + sample.SeedAlice + ";60", "quotes", 1},
		{"no period", "2600135004001;" + sample.SeedAlice + ";", "period", 3},
		{"period", "2600135004001;" + sample.SeedAlice + ";9999", "period", 3},
		{"type", "2600135004001;" + sample.SeedAlice + ";60;;ocra", "type", 5},
		{"digits", "2600135004001;" + sample.SeedAlice + ";60;;totp;9", "digits", 6},
		{"hash", "2600135004001;" + sample.SeedAlice + ";60;;totp;6;md5", "hash", 7},
	} {
		var more []string
		for i := range 12 {
			more = append(more, fmt.Sprintf(good, i+10))
		}
		sample.AssertBadRow(t, Reader{}, tc.name, head+"\n"+tc.row+"\n"+strings.Join(more, "\n"), 12, tc.field, tc.column)
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	var told []Finding
	r := sixty
	r.Tell = func(f Finding) { told = append(told, f) }
	row := "2600135004013," + base32Alice + "\n"
	recs, errs := sample.Decode(r, row+"2600135004014,"+base32Bob+"\n"+row)
	if len(recs) != 2 || len(errs) != 0 || len(told) != 1 || told[0].Line != 3 {
		t.Errorf("%d records, %v, told %v", len(recs), errs, told)
	}
	sample.AssertBadRow(t, sixty, "another seed", row+"2600135004013,"+base32Bob+"\n2600135004014,"+base32Carol, 2, "serial", 1)
}

func TestCharsets(t *testing.T) {
	t.Parallel()
	plain := "serial;seed;user\r\nx1;" + base32Alice + ";jürgen\r\nx2;" + base32Bob + ";名前😀\r\n"
	want := []keyfile.Record{owned(totp("x1", sample.SeedAlice, 60), "jürgen"), owned(totp("x2", sample.SeedBob, 60), "名前😀")}
	latin := "serial;seed;user\nx1;" + base32Alice + ";j\xFCrgen\n"
	for name, tc := range map[string]struct {
		text string
		want []keyfile.Record
		set  Charset
	}{
		"UTF-8": {plain, want, UTF8}, "BOM": {"\xEF\xBB\xBF" + plain, want, UTF8}, "UTF-16 LE": {utf16Text(plain, false), want, UTF16},
		"UTF-16 BE": {utf16Text(plain, true), want, UTF16}, "Latin-1": {latin, want[:1], Latin1},
	} {
		sample.AssertRecords(t, sixty, name, tc.text, tc.want)
		report, err := sixty.Survey(iotest.OneByteReader(strings.NewReader(tc.text)))
		if err != nil || report.Charset != tc.set {
			t.Errorf("%s: %s, %v", name, report.Charset, err)
		}
		if n := sixty.Detect([]byte(tc.text)); n != 60 {
			t.Errorf("%s: Detect says %d", name, n)
		}
	}
	var told []Finding
	r := sixty
	r.Tell = func(f Finding) { told = append(told, f) }
	late := "x1," + base32Alice + "\n" + strings.Repeat("#\n", SampleSize) + "x2," + base32Bob + "\n# \xFC\n"
	if recs, errs := sample.Decode(r, late); len(recs) != 2 || len(errs) != 0 || len(told) != 1 {
		t.Errorf("%d records, %v, told %v", len(recs), errs, told)
	}
}
