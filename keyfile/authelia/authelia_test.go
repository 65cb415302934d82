package authelia

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// golden has the secret of reference key-files.md §8.8.
const golden = `totp_configurations:
    - created_at: 2026-03-01T10:00:01Z
      username: "carol"
      issuer: "Campus \"Login\": #1"
      algorithm: SHA1
      digits: 6
      period: 30
      secret: Q0pIWFRLQTVDN0tQNkkyNEhZTURUWVFUQ0pJQlhPTEk=
`

// exported is such a file as Authelia writes.
const exported = `# yaml-language-server: $schema=https://www.authelia.com/schemas/latest/json-schema/export.totp.json
---
totp_configurations:
- algorithm: SHA1   # a comment
  created_at: '2026-03-01T11:00:01.25+01:00'
  digits: 6
  issuer: 'Campus "Login": #1'

  last_used_at: null
  period: 30
  secret: "Q0pIWFRLQTVDN0tQNkkyNEhZTURUWVFUQ0pJQlhPTEk="
  username: carol
...
`

func carol() keyfile.Record {
	return sample.With(sample.Carol(), func(r *keyfile.Record) {
		r.Issuer, r.Created, r.Label = `Campus "Login": #1`, sample.First().Created, ""
	})
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestEncode(t *testing.T) {
	t.Parallel()
	if got, err := sample.Encode(Codec{}, carol()); err != nil || got != golden {
		t.Errorf("%v, got\n%s", err, got)
	}
	got, err := sample.Encode(Codec{}, sample.With(carol(), func(r *keyfile.Record) { r.Created = time.Time{} }))
	if err != nil || !strings.Contains(got, "created_at: 1970-01-01T00:00:01Z\n") {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"ours": golden, "exported": exported, "CRLF": strings.ReplaceAll(golden, "\n", "\r\n"),
		"BOM": "\xEF\xBB\xBF" + golden, "no last end": strings.TrimSpace(golden),
		"dash alone": strings.Replace(golden, "- created", "-\n      created", 1)} {
		sample.AssertRecords(t, Codec{}, name, text, []keyfile.Record{carol()})
	}
	quoted := strings.Replace(golden, `"carol"`, `'o''brien' # x`, 1)
	sample.AssertRecords(t, Codec{}, "single quotes", quoted, []keyfile.Record{sample.With(carol(), func(r *keyfile.Record) { r.Owner = "o'brien" })})
	sample.AssertRecords(t, Codec{}, "none", "totp_configurations: []\n", nil)
	recs, errs := sample.Decode(Codec{}, golden+golden[len(head):])
	if len(errs) > 0 || len(recs) != 2 || recs[0].Line != 2 || recs[1].Line != 9 {
		t.Errorf("%v, %v", recs, errs)
	}
}

func TestBadEntries(t *testing.T) {
	t.Parallel()
	item := golden[len(head):]
	change := func(old, with string) string { return strings.Replace(item, old, with, 1) }
	for _, tc := range []struct {
		name, item, field string
		line              int // of the entry, 1 the first
	}{
		{"no user", change(`"carol"`, `""`), "username", 2},
		{"null user", change(`"carol"`, `~`), "username", 2},
		{"missing digits", change("      digits: 6\n", ""), "digits", 1},
		{"twice", change("digits: 6\n", "digits: 6\n      digits: 8\n"), "digits", 6},
		{"unknown key", change("digits: 6\n", "digits: 6\n      skew: 1\n"), "line", 6},
		{"no key", change("digits: 6", "6"), "line", 5},
		{"no blank", change("digits: 6", "digits:6"), "line", 5},
		{"algorithm", change("SHA1", "HmacSHA1"), "algorithm", 4},
		{"digits", change("digits: 6", "digits: 7"), "digits", 5},
		{"period", change("period: 30", "period: -30"), "period", 6},
		{"time", change("2026-03-01T", "2026-03-01 "), "created_at", 1},
		{"base32 itself", change("Q0pIWFRLQTVDN0tQNkkyNEhZTURUWVFUQ0pJQlhPTEk=", "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI"), "secret", 7},
		{"no base64", change("PTEk=", "PTEk"), "secret", 7},
		{"cut", change("UQ0pJQlhPTEk=", ""), "secret", 7},
		{"block scalar", change("Q0pIWFRL", "|\n        Q0pIWFRL"), "secret", 7},
		{"anchor", change(`"carol"`, `&a carol`), "username", 2},
		{"tag", change(`"carol"`, `!!str carol`), "username", 2},
		{"flow", change(`"carol"`, `{a: b}`), "username", 2},
		{"open quote", change(`"carol"`, `"carol`), "username", 2},
		{"open single quote", change(`"carol"`, `'carol`), "username", 2},
		{"behind a quote", change(`"carol"`, `"carol"x`), "username", 2},
		{"mapping", change(`"carol"`, `a: b`), "username", 2},
		{"control", change(`"carol"`, `"ca\u0007rol"`), "username", 2},
	} {
		recs, errs := sample.Decode(Codec{}, golden+tc.item+item)
		var bad *keyfile.RowError
		if len(recs) != 2 || len(errs) < 1 || !errors.As(errs[0], &bad) || bad.Line != 8+tc.line || bad.Field != tc.field {
			t.Errorf("%s: %d records, %v, want field %s in line %d", tc.name, len(recs), errs, tc.field, 8+tc.line)
			continue
		}
		if echo := sample.Echo(bad, strings.ReplaceAll(tc.item, "base64", "")); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, bad, echo)
		}
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	with := func(change func(*keyfile.Record)) keyfile.Record { return sample.With(sample.Carol(), change) }
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"AES", sample.First(), "kind", true},
		{"HOTP", sample.Alice(), "kind", true},
		{"7 digits", with(func(r *keyfile.Record) { r.Digits = 7 }), "digits", true},
		{"48 h", with(func(r *keyfile.Record) { r.Period = 48 * time.Hour }), "period", true},
		{"short seed", with(func(r *keyfile.Record) { r.Key = sample.Hex("3132") }), "key", true},
		{"nobody", with(func(r *keyfile.Record) { r.Owner = "" }), "owner", true},
		{"owner", with(func(r *keyfile.Record) { r.Owner = "a\nb" }), "owner", true},
		{"issuer", with(func(r *keyfile.Record) { r.Issuer = "a\nb" }), "issuer", true},
		{"label", sample.Carol(), "label", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	_, err := sample.Encode(Codec{}, carol(), carol())
	var refused *keyfile.LossError
	if !errors.As(err, &refused) || refused.Loss.Field != "owner" {
		t.Errorf("two tokens of one person: %v", err)
	}
}

func TestDetectAndHostileFiles(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{golden: 95, exported: 95, "\xEF\xBB\xBF" + strings.ReplaceAll(golden, "\n", "\r\n"): 95, "a: b\n": 0, "": 0})
	for _, text := range []string{"\x00", "\xFF\xFEt", "- ", "- _end:\n- _end:", golden[len(head):], head + "- ", strings.Repeat("- \n", 1<<16),
		head + "- username: \"" + strings.Repeat("a", 1<<20), head + "&a [*a,*a]\n"} {
		recs, errs := sample.Decode(Codec{}, text)
		if len(recs) > 0 || len(errs) == 0 && text != "- _end:\n- _end:" {
			t.Errorf("%.20q: %d records, %v", text, len(recs), errs)
		}
	}
}

// A YAML library reads our file as Authelia's does.
func TestPythonReadsTheYAML(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if exec.CommandContext(t.Context(), python, "-c", "import yaml").Run() != nil && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip("no python3-yaml")
	}
	odd := sample.With(carol(), func(r *keyfile.Record) { r.Owner = "no: 'x' #\u2028 名前" })
	text, err := sample.Encode(Codec{}, odd, sample.Dave())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", "import json,sys,yaml; json.dump(yaml.safe_load(sys.stdin.buffer), sys.stdout, default=str)")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	var got map[string][]map[string]any
	if err != nil || json.Unmarshal(out, &got) != nil || len(got[root]) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	want := map[string]any{"created_at": "2026-03-01 10:00:01+00:00", "username": odd.Owner, "issuer": odd.Issuer, "algorithm": "SHA1", "digits": 6.0,
		"period": 30.0, "secret": "Q0pIWFRLQTVDN0tQNkkyNEhZTURUWVFUQ0pJQlhPTEk="}
	if !maps.Equal(got[root][0], want) {
		t.Errorf("got %v", got[root][0])
	}
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{golden, exported, head, head + "- username: 'a''b'\n", "\x00", "- _end:"}, sample.Sound())
}
