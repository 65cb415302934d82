package entra

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

const (
	base32Carol = "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI"
	golden      = "upn,serial number,secret key,time interval,manufacturer,model\n" +
		"carol@example.org,TOTP00900003," + base32Carol + ",30,Hardware,OATH\n"
)

var campus = Codec{Domain: "example.org"}

func carol() keyfile.Record {
	return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Owner = "carol@example.org" })
}

func unowned() keyfile.Record {
	return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Owner = "" })
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, campus)
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		codec Codec
		rec   keyfile.Record
	}{"principal name": {Codec{}, carol()}, "account": {campus, sample.Carol()}, "another domain stays": {Codec{Domain: "x.org"}, carol()}} {
		if got, err := sample.Encode(tc.codec, tc.rec); err != nil || got != golden {
			t.Errorf("%s: %v, got\n%s", name, err, got)
		}
	}
	key := sample.With(carol(), func(r *keyfile.Record) { r.Label, r.Serial, r.Period = "", 10200301, time.Minute })
	got, err := sample.Encode(Codec{}, key)
	if want := header + "\ncarol@example.org,10200301," + base32Carol + ",60,Yubico,YubiKey\n"; err != nil || got != want {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	vendor := "serial number,secret key,time interval,manufacturer,model\n"
	minute := sample.With(unowned(), func(r *keyfile.Record) { r.Period = time.Minute })
	for _, tc := range []struct {
		name, text string
		want       keyfile.Record
	}{
		{"ours", golden, carol()}, {"CRLF", strings.ReplaceAll(golden, "\n", "\r\n"), carol()}, {"BOM", "\xEF\xBB\xBF" + golden, carol()},
		{"no last end", strings.TrimSpace(golden), carol()}, {"semicolons", strings.ReplaceAll(golden, ",", ";"), carol()},
		{"tabs", strings.ReplaceAll(golden, ",", "\t"), carol()}, {"upper-case header", strings.ToUpper(header) + golden[len(header):], carol()},
		{"quotes", `"` + strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(golden), ",", `","`), "\n", "\"\n\"") + "\"\n", carol()},
		{"lower-case secret", strings.Replace(golden, base32Carol, strings.ToLower(base32Carol), 1), carol()},
		{"padding and blanks", strings.Replace(golden, base32Carol, "CJHX TKA5 C7KP 6I24 HYMD TYQT CJIB XOLI=", 1), carol()},
		{"without a person", header + "\n,TOTP00900003," + base32Carol + ",60,x,y\n", minute},
		{"Deepnet", vendor + "TOTP00900003," + base32Carol + ",60,Deepnet,SafeID\n", minute},
		{"a maker with a comma", vendor + "TOTP00900003," + base32Carol + ",60,\"Feitian \"\"F\"\", Co.,Ltd\",c200\n", minute},
		{"other order", "Secret Key,Serial Number\n" + base32Carol + ",TOTP00900003\n", unowned()},
		{"short rows", header + "\n,TOTP00900003," + base32Carol + "\n", unowned()},
		{"trailing separators", header + ",,\n,TOTP00900003," + base32Carol + ",30,a,b,,\n", unowned()},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, tc.text, []keyfile.Record{tc.want})
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	row := strings.Split(golden, "\n")[1]
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"no serial", strings.Replace(row, "TOTP00900003", "", 1), "serial", 2},
		{"rounded serial", strings.Replace(row, "TOTP00900003", "2.6E+12", 1), "serial", 2},
		{"formula", "=" + row, "owner", 1},
		{"hexadecimal", strings.Replace(row, base32Carol, sample.SeedCarol, 1), "key", 3},
		{"no secret", strings.Replace(row, base32Carol, "", 1), "key", 3},
		{"long secret", strings.Replace(row, base32Carol, strings.Repeat("A", 129), 1), "key", 3},
		{"period", strings.Replace(row, ",30,", ",45,", 1), "period", 4},
		{"period", strings.Replace(row, ",30,", ",90,", 1), "period", 4},
		{"short", "carol@example.org,TOTP00900003", "row", 2},
		{"open quote", `"` + row, "quotes", 0},
		{"comma in quotes", `"a,b"` + row, "quotes", 0},
		{"comma in a value", `"a,b",TOTP00900003,` + base32Carol + ",30", "quotes", 1},
		{"NUL", strings.Replace(row, "carol", "ca\x00rol", 1), "line", 0},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, header+"\n"+tc.row+"\n"+golden[len(header)+1:], 1, tc.field, tc.column)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"carol@example.org,TOTP00900003," + base32Carol + ",30,a,b\n": ErrColumn, "hello\n": ErrHeader, "upn,model\n": ErrHeader,
		"serial number,secret key,algorithm\n": ErrColumn, "serial number,secret key,secret key\n": ErrColumn, `"serial number` + "\n": ErrHeader,
		"\xFF\xFEs": keyfile.ErrUTF16, "-----BEGIN PGP MESSAGE-----\n": keyfile.ErrOpenPGP,
	} {
		recs, errs := sample.Decode(Codec{}, text)
		if len(recs) > 0 || len(errs) != 1 || !errors.Is(errs[0], want) {
			t.Errorf("%.20q: %v", text, errs)
		}
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	with := func(change func(*keyfile.Record)) keyfile.Record { return sample.With(carol(), change) }
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"AES", sample.First(), "kind", true},
		{"HOTP", sample.Alice(), "kind", true},
		{"sha256", with(func(r *keyfile.Record) { r.Hash = "sha256" }), "hash", true},
		{"8 digits", with(func(r *keyfile.Record) { r.Digits = 8 }), "digits", true},
		{"45 s", with(func(r *keyfile.Record) { r.Period = 45 * time.Second }), "period", true},
		{"short seed", with(func(r *keyfile.Record) { r.Key = sample.Hex("3132") }), "key", true},
		{"nobody", with(func(r *keyfile.Record) { r.Owner = "" }), "owner", true},
		{"no domain", with(func(r *keyfile.Record) { r.Owner = "carol" }), "owner", true},
		{"formula", with(func(r *keyfile.Record) { r.Owner = "+carol@example.org" }), "owner", true},
		{"comma", with(func(r *keyfile.Record) { r.Label = "a,b" }), "label", true},
		{"no name", with(func(r *keyfile.Record) { r.Label = "" }), "serial", true},
		{"serial", with(func(r *keyfile.Record) { r.Serial = 7 }), "serial", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	sample.AssertLoss(t, campus, "principal name", sample.Carol(), "owner", false)
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{golden: 95, "\xEF\xBB\xBF" + strings.ReplaceAll(golden, "\n", "\r\n"): 95, "serial number;secret key\n": 50,
		"serial,secret\n": 0, "": 0, "10200301,vvccccknlfut\n": 0})
}

// Python's csv module reads our file as it is, and we read what it writes with a quote around every value.
func TestPython(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip("no python3")
	}
	run := func(script string) string {
		cmd := exec.CommandContext(t.Context(), python, "-c", "import csv,json,sys\n"+script)
		cmd.Stdin = strings.NewReader(golden)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	var got []map[string]string
	if err := json.Unmarshal([]byte(run("json.dump(list(csv.DictReader(sys.stdin)), sys.stdout)")), &got); err != nil || len(got) != 1 {
		t.Fatalf("%v: %v", err, got)
	}
	if got[0]["upn"] != "carol@example.org" || got[0]["secret key"] != base32Carol || got[0]["time interval"] != "30" {
		t.Errorf("%v", got)
	}
	for _, sep := range []string{",", ";", `\t`} {
		text := run(`csv.writer(sys.stdout, delimiter="` + sep + `", quoting=csv.QUOTE_ALL).writerows(csv.reader(sys.stdin))`)
		sample.AssertRecords(t, Codec{}, "python's with "+sep, text, []keyfile.Record{carol()})
	}
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{golden, strings.ReplaceAll(golden, ",", ";"), "Secret Key\tSerial Number\n" + base32Carol + "\tT1\n", header + "\n\"\"\"\",\"\n",
		"\xEF\xBB\xBF\"upn\",\"serial number\",\"secret key\"\n\"a@b\",1,\"" + base32Carol + "\"", "\x00", "\xFF\xFE"}, sample.Sound())
}
