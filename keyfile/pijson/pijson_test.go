package pijson

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope/envelopetest"
	"github.com/tokendesk/tokendesk/keyfile/fernet"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

const keyText = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="

func locked(t testing.TB) Codec {
	t.Helper()
	key, err := fernet.ParseKey([]byte(keyText))
	if err != nil {
		t.Fatal(err)
	}
	return Codec{Key: key, Realm: "campus", Resolver: "people"}
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
	sample.AssertLaws(t, Codec{Realm: "campus"})
	sample.AssertLaws(t, locked(t))
}

const golden = `[
{"serial": "YUBIAES10200301_1", "type": "yubikey", "otpkey": "688a3c8423bd5e0811602fe6977ff4f2", "otplen": 44, "counter": 0, "count": 0, "window": 10, "active": true, "description": "", "_hashed_pin": "", "info_list": {"tokenkind": "hardware", "yubikey.prefix": "vvccccknlfut", "yubikey.tokenid": "5c45bd4baca5"}},
{"serial": "UBOM00900002", "type": "hotp", "otpkey": "0e69d3441e304c01726e2a31445457dc57d0b18e", "otplen": 8, "counter": 42, "count": 42, "window": 10, "active": true, "description": "", "_hashed_pin": "", "info_list": {"tokenkind": "hardware", "hashlib": "sha1"}, "user": {"login": "bob", "resolver": "people", "realm": "campus"}},
{"serial": "TOTP00900004", "type": "totp", "otpkey": "9f8813299a5f7c701da72192a5ba61e4779b2915dc1708c8d9dd40df53e794f9", "otplen": 6, "counter": 0, "count": 0, "window": 10, "active": true, "description": "", "_hashed_pin": "", "info_list": {"tokenkind": "hardware", "hashlib": "sha256", "timeStep": "30"}, "user": {"login": "dave", "resolver": "people", "realm": "campus"}}
]
`

func TestGolden(t *testing.T) {
	t.Parallel()
	recs := []keyfile.Record{sample.First(), sample.Bob(), sample.Dave()}
	inClear, err := sample.Encode(Codec{Realm: "campus", Resolver: "people"}, recs...)
	if err != nil || inClear != golden {
		t.Errorf("%v\n%s", err, inClear)
	}
	c := locked(t)
	c.Now, c.Random = func() time.Time { return time.Unix(1772359200, 0) }, bytes.NewReader(make([]byte, 16))
	text, err := sample.Encode(c, recs...)
	if err != nil || !strings.HasPrefix(text, "gAAAAAB") || strings.Contains(text, "serial") {
		t.Errorf("%v\n%s", err, text)
	}
	for name, s := range map[string]string{"in clear": golden, "encrypted": text, "CRLF": strings.ReplaceAll(golden, "\n", "\r\n"), "BOM": "\xEF\xBB\xBF" + golden, "BOM, encrypted": "\xEF\xBB\xBF" + text} {
		if n := c.Detect([]byte(s)[:min(4096, len(s))]); n < 80 {
			t.Errorf("%s: detected by %d", name, n)
		}
		sample.AssertRecords(t, c, name, s, []keyfile.Record{c.Carried(sample.First()), c.Carried(sample.Bob()), c.Carried(sample.Dave())})
	}
	if empty, err := sample.Encode(Codec{}); err != nil || empty != "[\n\n]\n" {
		t.Errorf("no tokens: %q, %v", empty, err)
	}
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	c, printed, err := Codec{}.WithNewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := sample.Encode(c, sample.Dave())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(s string) keyfile.Reader {
		return Codec{}.Unlock(envelopetest.Answers(map[keyfile.Means]string{keyfile.PresharedKey: s}))
	}
	want := []keyfile.Record{Codec{}.Carried(sample.Dave())}
	sample.AssertRecords(t, ask(string(printed.Reveal())), "printed key", text, want)
	sample.AssertRecords(t, ask(string(printed.Reveal())+"\r\n"), "key file", text, want)
	sample.AssertRecords(t, ask(string(c.Key.Reveal())), "raw key", text, want)
	other := "A"
	if text[50] == 'A' {
		other = "B"
	}
	for name, tc := range map[string]struct {
		r    keyfile.Reader
		text string
		err  error
	}{
		"nobody to ask": {Codec{}, text, keyfile.ErrLocked}, "no key": {Codec{}.Unlock(envelopetest.Answers(nil)), text, keyfile.ErrLocked},
		"another key": {ask(keyText), text, ErrKey}, "no Fernet key": {ask("hello"), text, fernet.ErrKey}, "cut": {c, text[:len(text)/2], ErrKey}, "changed": {c, text[:50] + other + text[51:], ErrKey},
	} {
		recs, errs := sample.Decode(tc.r, tc.text)
		if len(recs) > 0 || len(errs) != 1 || !errors.Is(errs[0], tc.err) {
			t.Errorf("%s: %d records, %v", name, len(recs), errs)
		}
	}
	if _, _, err := (Codec{}).WithNewKey(bytes.NewReader(nil)); err == nil {
		t.Error("a key without randomness")
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	good := strings.Split(golden, "\n")[2]
	for name, tc := range map[string]struct{ from, to, field string }{
		"type": {`"hotp"`, `"push"`, "type"}, "no type": {`"type": "hotp", `, ``, "type"}, "no key": {`"otpkey"`, `"other"`, "key"}, "key": {`"0e69`, `"0x69`, "key"},
		"digits": {`"otplen": 8`, `"otplen": 9`, "digits"}, "digits as text": {`"otplen": 8`, `"otplen": "eight"`, "number"}, "counters": {`"count": 42`, `"count": 41`, "counter"},
		"negative": {`"counter": 42, "count": 42`, `"count": -42`, "counter"}, "hash": {`"sha1"`, `"md5"`, "hash"}, "serial": {`UBOM`, `UB OM`, "label"}, "no serial": {`"serial"`, `"name"`, "serial"},
		"user": {`{"login": "bob", "resolver": "people", "realm": "campus"}`, `"bob"`, "user"}, "login": {`"bob"`, `"bob\u0000"`, "owner"}, "info": {`{"tokenkind": "hardware", "hashlib": "sha1"}`, `[]`, "info_list"},
	} {
		text := "[\n" + strings.Replace(good, tc.from, tc.to, 1) + "\n" + strings.TrimSuffix(good, ",") + "\n]"
		recs, errs := sample.Decode(Codec{}, text)
		var bad *keyfile.RowError
		if len(errs) != 1 || len(recs) != 1 || !errors.As(errs[0], &bad) || bad.Field != tc.field || bad.Line != 1 || sample.Echo(errs[0], text) != "" {
			t.Errorf("%s: %d records, %v", name, len(recs), errs)
		}
	}
}

func TestRefusesFile(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "object": `{"serial": "x"}`, "cut": golden[:300], "behind": golden + "x", "second list": golden + golden, "UTF-16": "\xff\xfe[\x00", "NUL": "\x00", "numbers": "[1 2]",
		"deep": strings.Repeat("[", 100000), "OpenPGP": "-----BEGIN PGP MESSAGE-----\n",
	} {
		_, errs := sample.Decode(Codec{}, text)
		if len(errs) == 0 || keyfile.IsRow(errs[len(errs)-1]) || sample.Echo(errs[len(errs)-1], text) != "" {
			t.Errorf("%s: %v", name, errs)
		}
	}
	for begin, want := range map[string]error{"": ErrJSON, "[": errTooLong, fernetHead: errTooLong} {
		endless := &zeros{}
		for _, err := range (Codec{}).Decode(io.MultiReader(strings.NewReader(begin), endless)) {
			if !errors.Is(err, want) || want == ErrJSON && endless.n > 1<<20 || endless.n > 2*maxFile {
				t.Errorf("%q and endless zeros: %v after %d bytes", begin, err, endless.n)
			}
		}
	}
}

type zeros struct{ n int }

// Read implements io.Reader.
func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.n += len(p)
	return len(p), nil
}

func TestLosses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"access code", sample.Second(), "access-code", false}, {"owner", sample.Bob(), "owner", false},
		{"serial", sample.With(sample.Bob(), func(r *keyfile.Record) { r.Label = "" }), "serial", true},
		{"label", sample.With(sample.Bob(), func(r *keyfile.Record) { r.Label = "a b" }), "label", true},
		{"issuer", sample.With(sample.Bob(), func(r *keyfile.Record) { r.Issuer = "a\nb" }), "issuer", true},
		{"digits", sample.With(sample.Bob(), func(r *keyfile.Record) { r.Digits = 10 }), "digits", true},
		{"slot", sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Slot = 0 }), "slot", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	// SHA-256 with a seed of 20 bytes, which oath-csv refuses, goes.
	short := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Hash = "sha256" })
	if err := keyfile.Refused("pi-json", short, Codec{}.Loss(short)); err != nil {
		t.Error(err)
	}
}

// A document too large is refused while it is written, before anything went out.
func TestDocumentIsBounded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	e := locked(t).NewEncoder(&out).(*encoder)
	e.doc.n = MaxDocument - 1000
	var err error
	for range 10 {
		if err = e.Encode(sample.First()); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrTooLarge) || out.Len() > 0 {
		t.Errorf("%v after %d bytes", err, out.Len())
	}
}

// The judge decrypts as pi-tokenjanitor does and parses as Python does.
func TestPythonReadsOurs(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if _, _, err := envelopetest.Run(t, nil, nil, python, "-c", "import cryptography.fernet"); err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal("python3-cryptography is not installed")
		}
		t.Skip("python3-cryptography is not installed")
	}
	text, err := sample.Encode(locked(t), sample.First(), sample.Bob(), sample.Dave())
	if err != nil {
		t.Fatal(err)
	}
	out, said, err := envelopetest.Run(t, []byte(text), nil, python, "-c", `import sys, json
from cryptography.fernet import Fernet
tokens = json.loads(Fernet(sys.argv[1]).decrypt(sys.stdin.buffer.read()).decode("utf-8"))
for t in tokens: print(t["serial"], t["type"], t["otplen"], t["counter"], t["info_list"].get("yubikey.prefix"), bytes.fromhex(t["otpkey"]).hex())
sys.stdout.flush()
sys.stderr.write(Fernet(sys.argv[1]).encrypt(json.dumps(tokens).encode()).decode())`, keyText)
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	want := "YUBIAES10200301_1 yubikey 44 0 vvccccknlfut " + sample.Key1 + "\nUBOM00900002 hotp 8 42 None " + sample.SeedBob + "\nTOTP00900004 totp 6 0 None " + sample.SeedDave + "\n"
	if string(out) != want {
		t.Errorf("%s", out)
	}
	c := locked(t)
	sample.AssertRecords(t, c, "Python's", string(said), []keyfile.Record{c.Carried(sample.First()), c.Carried(sample.Bob()), c.Carried(sample.Dave())})
}

// FuzzDecode: an error stands beside a zero record, and a record that is read goes into a file again as it is.
func FuzzDecode(f *testing.F) {
	c := Codec{Realm: "campus"}
	text, err := sample.Encode(locked(f), sample.Bob())
	if err != nil {
		f.Fatal(err)
	}
	sample.Fuzz(f, c, []string{golden, text, "[]", "[{}]", "", "gAAAAA", `[{"serial": 1}]`}, sample.Written(c))
}
