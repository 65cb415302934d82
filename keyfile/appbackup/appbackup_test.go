package appbackup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// passphrase opens the encrypted files in testdata.
const passphrase = "Grüße vom Campus"

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil || len(b) == 0 {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func answer(s string) keyfile.Ask {
	return func(n keyfile.Need) (secret.Bytes, error) {
		if n.Means != keyfile.Passphrase {
			return secret.Bytes{}, errors.New("asked for something else")
		}
		return secret.New([]byte(s)), nil
	}
}

// accounts are what every backup in testdata has in it, apart from what is skipped.
func accounts() (out []keyfile.Record) {
	for _, rec := range []keyfile.Record{sample.Carol(), sample.Bob(), sample.Dave()} {
		out = append(out, sample.With(rec, func(r *keyfile.Record) { r.Label, r.Issuer, r.Owner = "", "Campus Login", r.Owner+"@example.org" }))
	}
	return out
}

// plain are the backups in clear and how many kinds of codes in them are not imported.
var plain = []struct {
	reader  keyfile.Reader
	file    string
	skipped int
	lines   []int // of the good entries
	sure    int
}{
	{Aegis{}, "aegis.json", 3, []int{10, 26, 45}, 90},
	{AndOTP{}, "andotp.json", 2, []int{1, 1, 1}, 80},
	{TwoFAS{}, "2fas.json", 1, []int{1, 1, 1}, 80},
	{FreeOTPPlus{}, "freeotp-plus.json", 1, []int{1, 1, 1}, 90},
	{BitwardenJSON{}, "bitwarden.json", 1, []int{5, 19, 33}, 80},
	{BitwardenCSV{}, "bitwarden.csv", 1, []int{2, 3, 5}, 95},
}

// encrypted are the backups that a passphrase opens.
var encrypted = []struct {
	reader  keyfile.Unlocker
	file    string
	skipped int
	sure    int
}{
	{Aegis{}, "aegis-encrypted.json", 3, 90}, {AndOTP{}, "andotp-encrypted.bin", 2, 40}, {AndOTP{}, "andotp-old.bin", 2, 0}, {TwoFAS{}, "2fas-encrypted.json", 1, 90},
}

// assertAccounts wants accounts and skipped errors about the type of code.
func assertAccounts(t *testing.T, r keyfile.Reader, name, text string, skipped int) []keyfile.Record {
	t.Helper()
	recs, errs := sample.Decode(r, text)
	if len(recs) != len(accounts()) || len(errs) != skipped {
		t.Errorf("%s: %d records, %v", name, len(recs), errs)
		return nil
	}
	for i, rec := range recs {
		if d := keyfile.Differences(rec, accounts()[i]); len(d) > 0 {
			t.Errorf("%s: record %d differs in %v", name, i, d)
		}
	}
	for _, err := range errs {
		var bad *keyfile.RowError
		if !errors.As(err, &bad) || bad.Field != "type" || bad.Format != r.Name() || bad.Line < 1 || !strings.Contains(bad.Cause, "not imported") {
			t.Errorf("%s: %v", name, err)
		}
	}
	return recs
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, p := range plain {
		text := string(load(t, p.file))
		for i, rec := range assertAccounts(t, p.reader, p.file, text, p.skipped) {
			if rec.Line != p.lines[i] {
				t.Errorf("%s: record %d stands on line %d, not %d", p.file, i, p.lines[i], rec.Line)
			}
		}
		assertAccounts(t, p.reader, p.file+" with BOM", "\xEF\xBB\xBF"+text, p.skipped)
		assertAccounts(t, p.reader, p.file+" with CRLF", strings.ReplaceAll(text, "\n", "\r\n"), p.skipped)
	}
}

func TestEncrypted(t *testing.T) {
	t.Parallel()
	for _, e := range encrypted {
		text := string(load(t, e.file))
		assertAccounts(t, e.reader.Unlock(answer(passphrase)), e.file, text, e.skipped)
		for name, tc := range map[string]struct {
			reader keyfile.Reader
			text   string
			want   error
		}{
			"locked":           {e.reader, text, keyfile.ErrLocked},
			"wrong passphrase": {e.reader.Unlock(answer("no")), text, ErrPassphrase},
			"damaged":          {e.reader.Unlock(answer(passphrase)), damage(text), ErrPassphrase},
			"nobody answers":   {e.reader.Unlock(func(keyfile.Need) (secret.Bytes, error) { return secret.Bytes{}, os.ErrDeadlineExceeded }), text, os.ErrDeadlineExceeded},
		} {
			if recs, errs := sample.Decode(tc.reader, tc.text); len(recs) > 0 || len(errs) != 1 || !errors.Is(errs[0], tc.want) || keyfile.IsRow(errs[0]) {
				t.Errorf("%s, %s: %d records, %v", e.file, name, len(recs), errs)
			}
		}
	}
}

// damage changes one bit of the ciphertext: of base64 in JSON, or of the last byte.
func damage(text string) string {
	for _, key := range []string{`"db": "`, `"servicesEncrypted": "`} {
		if i := strings.Index(text, key) + len(key); i >= len(key) {
			return text[:i] + string(rune(map[bool]byte{true: 'B', false: 'A'}[text[i] == 'A'])) + text[i+1:]
		}
	}
	return text[:len(text)-1] + string([]byte{text[len(text)-1] ^ 1})
}

func TestCostlyAegis(t *testing.T) {
	t.Parallel()
	text := string(load(t, "aegis-encrypted.json"))
	for name, tc := range map[string]struct {
		old, new string
		want     error
	}{
		"N":            {`"n": 32768`, `"n": 1073741824`, ErrCostly},
		"r":            {`"r": 8`, `"r": 1048576`, ErrCostly},
		"p":            {`"p": 1`, `"p": 1000000`, ErrCostly},
		"p that wraps": {`"p": 1`, `"p": 4611686018427387904`, ErrCostly},
		"negative":     {`"n": 32768`, `"n": -1`, ErrCostly},
		"no power":     {`"n": 32768`, `"n": 32767`, ErrOther},
		"no slot":      {`"type": 1`, `"type": 3`, ErrOther},
		"no params":    {`"params"`, `"parms"`, ErrOther},
		"newer":        {`"version": 1`, `"version": 2`, ErrOther},
		"hexadecimal":  {`"salt": "`, `"salt": "x`, ErrJSON},
		"many slots":   {`"slots": [`, `"slots": [` + strings.Repeat(`{"type":1,"n":32768,"r":8,"p":1},`, 64), ErrCostly},
		"base64 in db": {`"db": "`, `"db": "$`, ErrOther},
	} {
		recs, errs := sample.Decode(Aegis{}.Unlock(answer(passphrase)), strings.ReplaceAll(text, tc.old, tc.new))
		if len(recs) > 0 || len(errs) != 1 || !errors.Is(errs[0], tc.want) {
			t.Errorf("%s: %d records, %v", name, len(recs), errs)
		}
	}
	huge := "\x7f\xff\xff\xff" + string(load(t, "andotp-encrypted.bin"))[4:]
	if _, errs := sample.Decode(AndOTP{}.Unlock(answer(passphrase)), huge); len(errs) != 1 || !errors.Is(errs[0], ErrPassphrase) {
		t.Errorf("andOTP's iterations: %v", errs)
	}
}

func TestBadEntries(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ file, name, old, new, field string }{
		{"aegis.json", "secret", `"secret": "CJHX`, `"secret": "CJH1`, "key"},
		{"aegis.json", "secret of another kind", `"secret": "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI"`, `"secret": 12345678`, "key"},
		{"aegis.json", "hash", `"SHA1"`, `"SHA224"`, "hash"},
		{"aegis.json", "digits", `"digits": 6`, `"digits": 10`, "digits"},
		{"aegis.json", "digits of another kind", `"digits": 6`, `"digits": true`, "digits"},
		{"aegis.json", "fraction", `"digits": 6`, `"digits": 6.5`, "digits"},
		{"aegis.json", "period", `"period": 30`, `"period": 0`, "period"},
		{"aegis.json", "huge period", `"period": 30`, `"period": 1e99`, "period"},
		{"aegis.json", "type", `"totp"`, `"dpw"`, "type"},
		{"aegis.json", "name", `"carol@`, `"car\u0000ol@`, "owner"},
		{"aegis.json", "name of another kind", `"carol@example.org"`, `[1]`, "name"},
		{"andotp.json", "secret", `"secret":"CJHX`, `"secret":"CJH1`, "key"},
		{"andotp.json", "no secret", `"secret"`, `"secretly"`, "key"},
		{"andotp.json", "issuer", `"issuer":"Campus`, `"issuer":"\ncam\npus`, "issuer"},
		{"2fas.json", "entry", `{"name":"Campus"`, `"123456",{"name":"Campus"`, "entry"},
		{"2fas.json", "long secret", `"secret":"CJHX`, `"secret":"` + strings.Repeat("CJHXTKA5", 20) + `CJHX`, "key"},
		{"freeotp-plus.json", "byte", `"secret":[18,`, `"secret":[256,`, "key"},
		{"freeotp-plus.json", "no byte", `"secret":[18,`, `"secret":[99999,`, "secret"},
		{"freeotp-plus.json", "empty", `"secret":[18,`, `"secret":[],"x":[18,`, "key"},
		{"bitwarden.json", "secret", `"cjhx`, `"cjh1`, "key"},
		{"bitwarden.json", "hash in a URI", `SHA256`, `MD5`, "hash"},
		{"bitwarden.json", "two URIs", `otpauth://totp/`, `otpauth://totp/a?secret=AAAAAAAA\notpauth://totp/`, "uri"},
		{"bitwarden.csv", "secret", `cjhx`, `cjh1`, "key"},
		{"bitwarden.csv", "hash in a URI", `SHA256`, `MD5`, "hash"},
		{"bitwarden.csv", "long row", `,,login,Campus`, `,,,login,Campus`, "row"},
		{"bitwarden.csv", "quote", `,,login,Campus`, `,,login,"Campus`, "row"},
	} {
		text := string(load(t, tc.file))
		broken := strings.Replace(text, tc.old, tc.new, 1)
		if broken == text {
			t.Fatalf("%s, %s changes nothing", tc.file, tc.name)
		}
		for _, p := range plain {
			if p.file != tc.file {
				continue
			}
			_, errs := sample.Decode(p.reader, broken)
			found := false
			for _, err := range errs {
				var bad *keyfile.RowError
				found = found || errors.As(err, &bad) && bad.Field == tc.field && bad.Line > 0 && bad.Column > 0
				if echo := sample.Echo(err, broken); echo != "" && !strings.Contains("sha256sha224", echo) {
					t.Errorf("%s, %s: %q repeats %q", tc.file, tc.name, err, echo)
				}
			}
			if !found {
				t.Errorf("%s, %s: %v", tc.file, tc.name, errs)
			}
		}
	}
}

// endless is a document that never ends.
type endless struct{ begin *strings.Reader }

func (e endless) Read(p []byte) (int, error) {
	if n, _ := e.begin.Read(p); n > 0 {
		return n, nil
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestHostile(t *testing.T) {
	t.Parallel()
	for _, p := range plain {
		text := string(load(t, p.file))
		for name, tc := range map[string]struct {
			text string
			want error // nil: any
		}{
			"UTF-16": {"\xFF\xFE{\x00", keyfile.ErrUTF16}, "OpenPGP": {"-----BEGIN PGP MESSAGE-----\n", keyfile.ErrOpenPGP},
			"empty": {"", nil}, "zeros": {strings.Repeat("\x00", 5000), nil}, "another file": {"a,b,c\n1,2,3\n", nil},
			"null": {"null", nil}, "number": {"123456", nil}, "deep": {strings.Repeat(`{"db":`, 20000), nil}, "deep array": {strings.Repeat("[", 200000), nil},
		} {
			recs, errs := sample.Decode(p.reader, tc.text)
			if len(recs) > 0 || len(errs) == 0 || keyfile.IsRow(errs[0]) || (tc.want != nil && !errors.Is(errs[0], tc.want)) {
				t.Errorf("%s, %s: %d records, %v", p.file, name, len(recs), errs)
			}
		}
		if p.file != "bitwarden.csv" {
			for n := range len(text) - 2 { // a document that is cut anywhere is not taken for a whole one
				if n%7 != 0 {
					continue
				}
				if _, errs := sample.Decode(p.reader, text[:n]); len(errs) == 0 || keyfile.IsRow(errs[len(errs)-1]) {
					t.Errorf("%s: cut at %d: %v", p.file, n, errs)
				}
			}
			if _, errs := sample.Decode(p.reader, text+"x"); len(errs) == 0 || !errors.Is(errs[len(errs)-1], ErrJSON) {
				t.Errorf("%s: text after the document: %v", p.file, errs)
			}
		}
		if _, errs := sample.Decode(p.reader, strings.Replace(text, "dave", "d\xffve", 1)); len(errs) == 0 {
			t.Errorf("%s: bad UTF-8 is read", p.file)
		}
		for rec := range p.reader.Decode(strings.NewReader(text)) { // who stops is not asked again
			rec.Destroy()
			break
		}
	}
	for _, err := range (Aegis{}).Decode(endless{strings.NewReader(`{"version":1}`)}) {
		if !errors.Is(err, ErrTooLarge) {
			t.Error(err)
		}
	}
	for _, text := range []string{`{"encrypted":true,"passwordProtected":true,"salt":"x","data":"2.x"}`} {
		if _, errs := sample.Decode(BitwardenJSON{}, text); len(errs) != 1 || !errors.Is(errs[0], ErrBitwarden) {
			t.Errorf("%v", errs)
		}
	}
	newer := strings.Replace(string(load(t, "2fas.json")), `"schemaVersion":4`, `"schemaVersion":5`, 1)
	if _, errs := sample.Decode(TwoFAS{}, newer); len(errs) != 1 || !errors.Is(errs[0], ErrOther) {
		t.Errorf("2FAS schema 5: %v", errs)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	readers := []keyfile.Reader{Aegis{}, AndOTP{}, TwoFAS{}, FreeOTPPlus{}, BitwardenJSON{}, BitwardenCSV{}}
	check := func(file string, owner keyfile.Reader, sure int) {
		head := load(t, file)
		head = head[:min(len(head), 4096)]
		for _, r := range readers {
			want := 0
			if r.Name() == owner.Name() {
				want = sure
			}
			if got := r.Detect(head); got != want {
				t.Errorf("%s is %d sure of %s, not %d", r.Name(), got, file, want)
			}
		}
	}
	for _, p := range plain {
		check(p.file, p.reader, p.sure)
	}
	for _, e := range encrypted {
		check(e.file, e.reader, e.sure)
	}
}
