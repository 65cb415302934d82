package pskc

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// python is Debian's interpreter, which finds Debian's python3-pskc.
const python = "/usr/bin/python3"

// runPython runs a program that imports pskc, with stdin as its input.
func runPython(t *testing.T, program, stdin string, args ...string) (string, error) {
	t.Helper()
	if _, err := run(t, "", python, "-c", "import pskc, cryptography"); err != nil {
		missing(t, "python3-pskc")
	}
	return run(t, stdin, python, append([]string{"-c", program}, args...)...)
}

// readProgram prints what python-pskc finds in a file: a JSON object a key.
const readProgram = `
import sys, json, pskc, binascii
p = pskc.PSKC(sys.argv[1])
if sys.argv[2] == 'key': p.encryption.key = binascii.a2b_hex(sys.argv[3])
if sys.argv[2] == 'password': p.encryption.derive_key(sys.argv[3])
for k in p.keys:
    print(json.dumps(dict(Id=k.id, Serial=k.serial, Secret=k.secret.hex(), Counter=k.counter or 0, Period=k.time_interval or 0, Digits=k.response_length,
        Suite=k.algorithm_suite or '', User=k.key_userid or '', Issuer=k.issuer or '', Name=p.encryption.key_name or '', Checked=bool(k.check()))))
`

// pythonKey is a line of readProgram's.
type pythonKey struct {
	Id, Serial, Secret, Suite, User, Issuer, Name string
	Counter                                       int64
	Period, Digits                                int
	Checked                                       bool
}

// readByPython is what python-pskc finds in a file; how is "plain", "key" or "password".
func readByPython(t *testing.T, file, how, with string) ([]pythonKey, error) {
	t.Helper()
	out, err := runPython(t, readProgram, "", file, how, with)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	var keys []pythonKey
	for line := range strings.Lines(out) {
		var k pythonKey
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func TestPythonReadsOurs(t *testing.T) {
	t.Parallel()
	recs := append(sample.All(), sample.With(sample.Bob(), func(r *keyfile.Record) { r.Label, r.Issuer = "UBOM9", "Campus & Co" }))
	for _, tc := range []struct {
		codec           Codec
		how, with, name string
	}{
		{Codec{}, "plain", "", ""},
		{withKey(), "key", fmt.Sprintf("%x", figureKey()), "Pre-shared-key"},
		{withPassword(), "password", password, "Batch 7 & 8"},
	} {
		text, err := sample.Encode(tc.codec, recs...)
		if err != nil {
			t.Fatal(err)
		}
		file := writeTemp(t, text)
		keys, err := readByPython(t, file, tc.how, tc.with)
		if err != nil || len(keys) != len(recs) {
			t.Errorf("%s: %d keys, %v", tc.how, len(keys), err)
			continue
		}
		for i, rec := range recs {
			k := keys[i]
			if want := fmt.Sprintf("%x", rec.Key.Reveal()); k.Secret != want || k.Counter != rec.Counter || k.Period != int(rec.Period.Seconds()) || k.Suite != rec.Hash ||
				rec.Digits != 0 && k.Digits != rec.Digits || !k.Checked || k.Name != tc.name || k.Issuer != rec.Issuer || k.Serial != namesOf(rec).serialNo {
				t.Errorf("%s: python-pskc reads %+v", tc.how, k)
			}
		}
		if out, err := runPskctool(t, file, "--validate"); err != nil || !strings.HasSuffix("\n"+out, "\nOK\n") { // libpskc warns of what it cannot decrypt
			t.Errorf("%s: pskctool --validate: %v\n%s", tc.how, err, out)
		}
		if out, err := run(t, "", "xmllint", "--noout", "--nonet", file); err != nil || out != "" {
			t.Errorf("%s: xmllint: %v\n%s", tc.how, err, out)
		}
	}
}

// The golden files are read by the judge too, and a changed one is not: a judge that agrees with everything is none.
func TestPythonReadsGolden(t *testing.T) {
	t.Parallel()
	for file, tc := range map[string]struct{ how, with string }{"written-key.xml": {"key", fmt.Sprintf("%x", figureKey())}, "written-password.xml": {"password", password}} {
		keys, err := readByPython(t, filepath.Join("testdata", file), tc.how, tc.with)
		if err != nil || len(keys) != 2 || keys[0].Secret != sample.SeedDave || keys[1].Secret != sample.SeedBob || keys[1].Counter != 42 {
			t.Errorf("%s: %+v, %v", file, keys, err)
		}
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(b), "<pskc:ValueMAC>") + len("<pskc:ValueMAC>")
		changed := string(b[:at]) + flip(string(b[at:at+1])) + string(b[at+1:])
		if keys, err := readByPython(t, writeTemp(t, changed), tc.how, tc.with); err == nil {
			t.Errorf("%s: python-pskc took a wrong MAC: %+v", file, keys)
		}
		recs, errs := sample.Decode(goldenFiles()[file], changed)
		if len(recs) != 1 || len(errs) != 1 || !keyfile.IsRow(errs[0]) {
			t.Errorf("%s: %d records, %v", file, len(recs), errs)
		}
	}
}

// writeProgram writes one container with the samples alice, bob, carol and dave, encrypted as its arguments say.
const writeProgram = `
import sys, json, pskc, binascii
how, secret, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
fields = options.pop('fields', None)
mac = options.pop('mac', None)
p = pskc.PSKC()
if mac: p.mac.setup(algorithm=mac)
for k in json.loads(sys.stdin.read()):
    k['secret'] = binascii.a2b_hex(k['secret'])
    p.add_key(**k)
if how == 'key': p.encryption.setup_preshared_key(key=binascii.a2b_hex(secret), key_name='Batch 7', fields=fields, **options)
if how == 'password': p.encryption.setup_pbkdf2(secret, key_name='Batch 7', fields=fields, iterations=1000, **options)
p.write(sys.argv[4])
`

const pythonKeys = `[
{"id": "UBOM00900001", "serial": "UBOM00900001", "algorithm": "` + algHOTP + `", "secret": "` + sample.SeedAlice + `", "response_length": 6, "response_encoding": "DECIMAL", "counter": 0},
{"id": "UBOM00900002", "serial": "UBOM00900002", "algorithm": "` + algHOTP + `", "secret": "` + sample.SeedBob + `", "response_length": 8, "response_encoding": "DECIMAL", "counter": 42},
{"id": "TOTP00900003", "serial": "TOTP00900003", "algorithm": "` + algTOTP + `", "secret": "` + sample.SeedCarol + `", "response_length": 6, "time_interval": 30},
{"id": "TOTP00900004", "serial": "TOTP00900004", "algorithm": "` + algTOTP + `", "secret": "` + sample.SeedDave + `", "response_length": 6, "time_interval": 30, "algorithm_suite": "HMAC-SHA256"}]`

func TestWeReadPythons(t *testing.T) {
	t.Parallel()
	var want []keyfile.Record
	for _, rec := range []keyfile.Record{sample.Alice(), sample.Bob(), sample.Carol(), sample.Dave()} {
		want = append(want, sample.With(rec, func(r *keyfile.Record) { r.Owner = "" }))
	}
	long := strings.Repeat("0123456789abcdef", 4)
	for _, tc := range []struct{ how, secret, options string }{
		{"plain", "", `{}`},
		{"key", long[:32], `{}`},
		{"key", long[:32], `{"algorithm": "aes128-cbc", "fields": ["secret", "counter", "time_interval"]}`},
		{"key", long[:48], `{"algorithm": "aes192-cbc", "mac": "hmac-sha224"}`},
		{"key", long, `{"algorithm": "aes256-cbc", "mac": "hmac-sha512"}`},
		{"key", long[:48], `{"algorithm": "tripledes-cbc", "mac": "hmac-sha384"}`},
		{"key", long[:32], `{"algorithm": "kw-aes128"}`},
		{"key", long[:48], `{"algorithm": "kw-aes192"}`},
		{"key", long, `{"algorithm": "kw-aes256", "fields": ["secret", "counter", "time_interval"]}`},
		{"password", "qwerty", `{}`},
		{"password", "qwerty", `{"algorithm": "aes256-cbc", "prf": "hmac-sha256", "mac": "hmac-sha256"}`},
		{"password", "pässword", `{"algorithm": "aes192-cbc", "prf": "hmac-sha512"}`},
		{"password", "qwerty", `{"algorithm": "kw-aes256", "prf": "hmac-sha384"}`},
		{"password", "qwerty", `{"prf": "hmac-sha224"}`},
	} {
		file := filepath.Join(t.TempDir(), "keys.xml")
		if out, err := runPython(t, writeProgram, pythonKeys, tc.how, tc.secret, tc.options, file); err != nil {
			t.Fatalf("%s %s: %v\n%s", tc.how, tc.options, err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if tc.how != "plain" && strings.Contains(string(b), "<pskc:Secret>\n     <pskc:PlainValue>") {
			t.Fatalf("%s %s is not encrypted", tc.how, tc.options)
		}
		r := unlocked(nil, []byte(tc.secret))
		if tc.how == "key" {
			r = Codec{}.Unlock(func(n keyfile.Need) (secret.Bytes, error) {
				if n.Hint != "Batch 7" {
					t.Errorf("asked for %v", n)
				}
				return sample.Hex(tc.secret), nil
			})
		}
		sample.AssertRecords(t, r, tc.how+" "+tc.options, string(b), want)
	}
}
