package nextcloud

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// reference is the file of reference key-files.md §8.4, byte for byte.
const reference = `username,status,type,algorithm,digits,period,counter,challenge,suite,secret
dave,none,totp,sha256,6,30,0,8,,T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q
`

// person is r as a file without serials gives it back.
func person(r keyfile.Record) keyfile.Record { return (Codec{}).Carried(r) }

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
	sample.AssertLaws(t, Codec{Renew: true})
}

func TestEncodeReference(t *testing.T) {
	t.Parallel()
	if got, err := sample.Encode(Codec{}, sample.Dave()); err != nil || got != reference {
		t.Errorf("%v, got\n%s", err, got)
	}
	got, err := sample.Encode(Codec{Renew: true}, sample.Bob())
	if want := header + "\nbob,renew,hotp,sha1,8,30,42,8,,BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO\n"; err != nil || got != want {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	dave := []keyfile.Record{person(sample.Dave())}
	exported := "username,status,type,algorithm,digits,period,counter,challenge,suite,secret\n" +
		"carol,enabled,totp,sha1,6,30,,,,CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI\nbob,pending,hotp,sha1,8,,42,,,BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO\n"
	for _, tc := range []struct {
		name, text string
		want       []keyfile.Record
	}{
		{"reference", reference, dave}, {"CRLF", strings.ReplaceAll(reference, "\n", "\r\n"), dave}, {"BOM", "\xEF\xBB\xBF" + reference, dave},
		{"no header", reference[len(header)+1:], dave}, {"no last end", strings.TrimSpace(reference), dave},
		{"the app's export", exported, []keyfile.Record{person(sample.Carol()), person(sample.Bob())}},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, tc.text, tc.want)
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	row := strings.Split(reference, "\n")[1]
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"no owner", row[len("dave"):], "owner", 1},
		{"formula", "=" + row, "owner", 1},
		{"OCRA", strings.Replace(row, "totp", "ocra", 1), "row", 3},
		{"hash", strings.Replace(row, "sha256", "md5", 1), "hash", 4},
		{"digits", strings.Replace(row, ",6,", ",10,", 1), "digits", 5},
		{"period", strings.Replace(row, ",30,", ",0,", 1), "period", 6},
		{"no secret", row[:strings.LastIndex(row, ",")+1], "key", 10},
		{"hexadecimal", row[:strings.LastIndex(row, ",")+1] + sample.SeedDave, "key", 10},
		{"short", row[:strings.LastIndex(row, ",")], "row", 9},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, header+"\n"+tc.row+"\n"+reference[len(header)+1:], 1, tc.field, tc.column)
	}
	if _, errs := sample.Decode(Codec{}, strings.Replace(reference, ",suite", "", 1)); len(errs) != 1 || keyfile.IsRow(errs[0]) {
		t.Errorf("another header: %v", errs)
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
		{"AES", sample.First(), "kind", true},
		{"label", sample.Dave(), "label", false},
		{"nobody", sample.With(sample.Dave(), func(r *keyfile.Record) { r.Owner = "" }), "owner", true},
		{"comma", sample.With(sample.Dave(), func(r *keyfile.Record) { r.Owner = "a,b" }), "owner", true},
		{"formula", sample.With(sample.Dave(), func(r *keyfile.Record) { r.Owner = "-a" }), "owner", true},
		{"short seed", sample.With(sample.Dave(), func(r *keyfile.Record) { r.Key = sample.Hex("31323334353637383930") }), "key", true},
		{"counter", sample.With(sample.Bob(), func(r *keyfile.Record) { r.Counter = 1 << 53 }), "counter", true},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	_, err := sample.Encode(Codec{}, sample.Dave(), sample.With(sample.Carol(), func(r *keyfile.Record) { r.Owner = "dave" }))
	var refused *keyfile.LossError
	if !errors.As(err, &refused) || refused.Loss.Field != "owner" || refused.Token != "TOTP00900003" {
		t.Errorf("two tokens of one person: %v", err)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{reference: 95, "\xEF\xBB\xBF" + strings.ReplaceAll(reference, "\n", "\r\n"): 95, "username,secret\n": 0, "": 0})
}

// Python's csv module finds every column by the header.
func TestPythonReadsTheFile(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip("no python3")
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", "import csv,json,sys; json.dump(list(csv.DictReader(sys.stdin)), sys.stdout)")
	cmd.Stdin = strings.NewReader(reference)
	out, err := cmd.Output()
	var got []map[string]string
	if err != nil || json.Unmarshal(out, &got) != nil || len(got) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	for k, v := range map[string]string{"username": "dave", "status": "none", "type": "totp", "algorithm": "sha256", "digits": "6", "period": "30",
		"secret": "T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q"} {
		if got[0][k] != v {
			t.Errorf("%s is %q", k, got[0][k])
		}
	}
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{reference, header + "\nbob,renew,hotp,sha1,8,30,42,8,,BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO\n", header, "dave,none,totp,,,,,,,",
		"\xFF\xFEu", "\x00"}, sample.Sound())
}
