package tablecsv

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

func format(t testing.TB, name string) Codec {
	t.Helper()
	i := slices.IndexFunc(Formats(), func(c Codec) bool { return c.Name() == name })
	if i < 0 {
		t.Fatalf("no format %s", name)
	}
	return Formats()[i]
}

func TestLaws(t *testing.T) {
	t.Parallel()
	for _, c := range Formats() {
		sample.AssertLaws(t, c)
	}
}

// eight is carol with 8 digits and 60 s.
func eight() keyfile.Record {
	return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Digits, r.Period = 8, time.Minute })
}

// TestEncode holds every table against its line of reference key-files.md §8.9.
func TestEncode(t *testing.T) {
	t.Parallel()
	issued := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Issuer = "Campus Login" })
	long := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Period = time.Minute })
	bob6 := sample.With(sample.Bob(), func(r *keyfile.Record) { r.Digits = 6 })
	erin := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Hash, r.Digits, r.Period = "sha512", 8, time.Minute })
	for _, tc := range []struct {
		format string
		recs   []keyfile.Record
		want   string
	}{
		{"duo-yubikey", []keyfile.Record{sample.First()}, "10200301,5c45bd4baca5,688a3c8423bd5e0811602fe6977ff4f2\n"},
		{"duo-hotp-6", []keyfile.Record{sample.Alice(), sample.SlotHOTP()}, "UBOM00900001," + sample.SeedAlice + ",0\n10200301_2," + sample.SeedAlice + ",0\n"},
		{"duo-hotp-8", []keyfile.Record{sample.Bob()}, "UBOM00900002," + sample.SeedBob + ",42\n"},
		{"duo-totp-6", []keyfile.Record{sample.Carol()}, "TOTP00900003," + sample.SeedCarol + ",30\n"},
		{"duo-totp-8", []keyfile.Record{eight()}, "TOTP00900003," + sample.SeedCarol + ",60\n"},
		{"pingid-hotp", []keyfile.Record{bob6}, "UBOM00900002," + sample.SeedBob + ",42\n"},
		{"pingid-totp-30", []keyfile.Record{sample.Carol()}, "TOTP00900003," + sample.SeedCarol + "\n"},
		{"pingid-totp-60", []keyfile.Record{long}, "TOTP00900003," + sample.SeedCarol + "\n"},
		{"phenixid", []keyfile.Record{bob6, erin}, "HOTP;UBOM00900002;" + sample.SeedBob + ";42\nTOTP;TOTP00900004;SHA512;" + sample.SeedDave + ";0;60;8\n"},
		{"secureauth", []keyfile.Record{bob6, sample.Carol()}, "username,Hotptoken,Totptoken\nbob,UBOM00900002|" + sample.SeedBob + "|42,\ncarol,," + sample.SeedCarol + "|TOTP00900003\n"},
		{"netiq", []keyfile.Record{sample.Alice(), eight()}, "UBOM00900001," + sample.SeedAlice + ",hotp,6\nTOTP00900003," + sample.SeedCarol + ",totp,8,60\n"},
		{"centrify", []keyfile.Record{issued}, "User Principle Name,Token Identifier,Secret Key (HEX),Account Name,Issuer\n" +
			"carol,TOTP00900003," + sample.SeedCarol + ",carol,Campus%20Login\n"},
		{"rapididentity", []keyfile.Record{sample.Carol()}, "TOTP00900003," + sample.SeedCarol + "\n"},
		{"isam-esso", []keyfile.Record{sample.Alice()}, "UBOM00900001," + sample.SeedAlice + "\n"},
		{"securenvoy-hotp", []keyfile.Record{sample.Alice()}, "UBOM00900001,ZDCIYHSJZO5TKUL6J5AU6JSXT6AILWKV\n"},
		{"securenvoy-totp", []keyfile.Record{sample.Carol()}, "TOTP00900003,CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI\n"},
	} {
		got, err := sample.Encode(format(t, tc.format), tc.recs...)
		if err != nil || got != tc.want {
			t.Errorf("%s: %v, got\n%swant\n%s", tc.format, err, got, tc.want)
		}
	}
	if n := len(Formats()); n != 16 {
		t.Errorf("%d formats, 16 in this table", n)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	label := func(s string) keyfile.Record {
		return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label = s })
	}
	owner := func(s string) keyfile.Record {
		return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Owner = s })
	}
	for _, tc := range []struct {
		format, name string
		rec          keyfile.Record
		field        string
		fatal        bool
	}{
		{"duo-yubikey", "HOTP", sample.Alice(), "kind", true},
		{"duo-yubikey", "no serial", sample.With(sample.First(), func(r *keyfile.Record) { r.Serial = 0 }), "serial", true},
		{"duo-yubikey", "no private ID", sample.With(sample.First(), func(r *keyfile.Record) { r.PrivateID = sample.Hex("") }), "private-id", true},
		{"duo-yubikey", "public ID", sample.First(), "public-id", false},
		{"duo-yubikey", "access code", sample.Second(), "access-code", false},
		{"duo-hotp-6", "8 digits", sample.Bob(), "digits", true},
		{"duo-hotp-8", "6 digits", sample.Alice(), "digits", true},
		{"duo-hotp-6", "AES", sample.First(), "kind", true},
		{"duo-totp-6", "sha256", sample.Dave(), "hash", true},
		{"duo-totp-6", "8 digits", eight(), "digits", true},
		{"duo-totp-6", "owner", sample.Carol(), "owner", false},
		{"pingid-totp-30", "60 s", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Period = time.Minute }), "period", true},
		{"pingid-totp-60", "30 s", sample.Carol(), "period", true},
		{"pingid-hotp", "huge counter", sample.With(sample.Alice(), func(r *keyfile.Record) { r.Counter = 1<<62 + 1 }), "counter", true},
		{"netiq", "counter", sample.Bob(), "counter", true},
		{"netiq", "sha256", sample.Dave(), "hash", true},
		{"netiq", "period", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Period = 48 * time.Hour }), "period", true},
		{"isam-esso", "counter", sample.With(sample.Bob(), func(r *keyfile.Record) { r.Digits = 6 }), "counter", true},
		{"rapididentity", "HOTP", sample.Alice(), "kind", true},
		{"rapididentity", "short seed", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Key = sample.Hex("313233343536") }), "key", true},
		{"rapididentity", "no name", label(""), "serial", true},
		{"rapididentity", "formula", label("=1+1"), "label", true},
		{"rapididentity", "at", label("@sum"), "label", true},
		{"rapididentity", "comma", label("a,b"), "label", true},
		{"rapididentity", "rounded", label("2.6E+12"), "label", true},
		{"phenixid", "semicolon", label("a;b"), "label", true},
		{"phenixid", "HOTP with 8 digits", sample.Bob(), "digits", true},
		{"secureauth", "bar", label("a|b"), "label", true},
		{"secureauth", "bar in owner", owner("a|b"), "owner", true},
		{"secureauth", "no owner", owner(""), "owner", true},
		{"centrify", "no owner", owner(""), "owner", true},
		{"centrify", "formula", owner("+ada"), "owner", true},
		{"centrify", "issuer", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Issuer = "-1" }), "issuer", true},
		{"centrify", "issuer", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Issuer = "a\nb" }), "issuer", true},
		{"rapididentity", "issuer", sample.With(sample.Carol(), func(r *keyfile.Record) { r.Issuer = "x" }), "issuer", false},
	} {
		sample.AssertLoss(t, format(t, tc.format), tc.format+", "+tc.name, tc.rec, tc.field, tc.fatal)
	}
}

// A refusal names what to use instead.
func TestInstead(t *testing.T) {
	t.Parallel()
	for _, c := range Formats() {
		for _, rec := range sample.All() {
			err := keyfile.Refused(c.Name(), rec, c.Loss(rec))
			var refused *keyfile.LossError
			if errors.As(err, &refused) && refused.Loss.Field == "kind" && !strings.Contains(refused.Loss.Note, "use ") {
				t.Errorf("%v", err)
			}
		}
	}
}

// Of two rows of one person these servers keep the last.
func TestOncePerOwner(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"secureauth", "centrify"} {
		second := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label = "TOTP00900009" })
		_, err := sample.Encode(format(t, name), sample.Carol(), second)
		var refused *keyfile.LossError
		if !errors.As(err, &refused) || refused.Loss.Field != "owner" || refused.Token != "TOTP00900009" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	row := "TOTP00900004," + sample.SeedCarol + ",30"
	good := "TOTP00900003," + sample.SeedCarol + ",30\n"
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"short", "TOTP00900004," + sample.SeedCarol, "row", 2},
		{"long", row + ",x", "row", 3},
		{"semicolons", strings.ReplaceAll(row, ",", ";"), "row", 1},
		{"no serial", row[len("TOTP00900004"):], "serial", 1},
		{"rounded", "2.6E+12" + row[len("TOTP00900004"):], "serial", 1},
		{"formula", "=" + row, "serial", 1},
		{"quoted", `"TOTP00900004"` + row[len("TOTP00900004"):], "quotes", 1},
		{"base32", "TOTP00900004,CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI,30", "key", 2},
		{"odd", strings.Replace(row, "b968", "b96", 1), "key", 2},
		{"period", strings.Replace(row, ",30", ",-30", 1), "period", 3},
		{"control", strings.Replace(row, "TOTP", "TO\x00P", 1), "line", 0},
	} {
		sample.AssertBadRow(t, format(t, "duo-totp-6"), tc.name, good+tc.row+"\n"+good, 2, tc.field, tc.column)
	}
	sample.AssertBadRow(t, format(t, "securenvoy-totp"), "base32", "T1,CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI\nT2,CJHXTKA5C7KP6I24HYMDTYQTCJIBXOL1\n", 1, "key", 2)
	sample.AssertBadRow(t, format(t, "phenixid"), "hash", "HOTP;T1;"+sample.SeedAlice+";0\nTOTP;T2;MD5;"+sample.SeedCarol+";0;30;6\n", 1, "hash", 3)
}

func TestHeader(t *testing.T) {
	t.Parallel()
	c := format(t, "secureauth")
	want := []keyfile.Record{sample.Carol()}
	row := "carol,," + sample.SeedCarol + "|TOTP00900003\n"
	for name, text := range map[string]string{"own": "username,Hotptoken,Totptoken\n" + row, "none": row, "case": "USERNAME,HOTPTOKEN,TOTPTOKEN\r\n" + row} {
		sample.AssertRecords(t, c, name, text, want)
	}
	if _, errs := sample.Decode(c, "username,Totptoken,Hotptoken\n"+row); len(errs) != 1 || !errors.Is(errs[0], ErrHeader) {
		t.Error(errs)
	}
}

// Tables of bare serials and keys are not told apart, the others are.
func TestDetect(t *testing.T) {
	t.Parallel()
	for _, c := range Formats() {
		want := map[string]int{"phenixid": 60, "secureauth": 95, "centrify": 95}[c.Name()]
		for _, rec := range sample.Taken(c, sample.All()) {
			text, err := sample.Encode(c, rec)
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range Formats() {
				n := other.Detect([]byte("\xEF\xBB\xBF" + text))
				if other.Name() == c.Name() && n != want || other.Name() != c.Name() && n != 0 {
					t.Errorf("%s takes a file of %s with %d", other.Name(), c.Name(), n)
				}
			}
		}
	}
}

// Python's csv module reads our tables as the cells that went in.
func TestPythonReadsTheTables(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip("no python3")
	}
	text, err := sample.Encode(format(t, "netiq"), sample.Alice(), eight())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", "import csv,json,sys; json.dump(list(csv.reader(sys.stdin)), sys.stdout)")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	var got [][]string
	if err != nil || json.Unmarshal(out, &got) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want, _ := json.Marshal([][]string{{"UBOM00900001", sample.SeedAlice, "hotp", "6"}, {"TOTP00900003", sample.SeedCarol, "totp", "8", "60"}})
	if again, _ := json.Marshal(got); !bytes.Equal(again, want) {
		t.Errorf("got %s", again)
	}
}

// hostile are files that no reader may take for records. A sound row after the damage may be read.
var hostile = []string{"", "\xEF\xBB\xBF", "\x00", "\xFF\xFET\x00", "\xFE\xFF\x00T", "a\rb", "\r\n\r\n", ",,,\n", "HOTP;;;\nTOTP;;;;;;\n",
	"HOTP;x;" + sample.SeedAlice, "username,Hotptoken,Totptoken,\n", "x,,|\n", "x,y|z|,\n"}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for _, c := range Formats() {
		for _, text := range append(hostile[:len(hostile):len(hostile)], strings.Repeat("0,", 1<<20), strings.Repeat("A", 1<<20)) {
			if recs, _ := sample.Decode(c, text); len(recs) > 0 {
				t.Errorf("%s takes %.20q", c.Name(), text)
			}
		}
	}
}

// FuzzDecode holds that a row that was read is written again, if at all, as what was read.
func FuzzDecode(f *testing.F) {
	for i, c := range Formats() {
		for _, rec := range sample.Taken(c, sample.All()) {
			text, err := sample.Encode(c, rec)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(i, text)
		}
	}
	for i, text := range hostile {
		f.Add(i, text)
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		sample.AssertFile(t, Formats()[uint(i)%uint(len(Formats()))], text, sample.Sound())
	})
}
