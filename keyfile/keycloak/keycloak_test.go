package keycloak

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

const (
	credentialCarol = `{"type":"otp","userLabel":"TOTP00900003","createdDate":1772359201000,` +
		`"secretData":"{\"value\":\"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI\"}",` +
		`"credentialData":"{\"subType\":\"totp\",\"digits\":6,\"counter\":0,\"period\":30,\"algorithm\":\"HmacSHA1\",\"secretEncoding\":\"BASE32\"}"}`
	credentialBob = `{"type":"otp","userLabel":"UBOM00900002",` +
		`"secretData":"{\"value\":\"BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO\"}",` +
		`"credentialData":"{\"subType\":\"hotp\",\"digits\":8,\"counter\":42,\"period\":30,\"algorithm\":\"HmacSHA1\",\"secretEncoding\":\"BASE32\"}"}`
	golden = `{"ifResourceExists":"FAIL","users":[
{"username":"carol","enabled":true,"credentials":[` + credentialCarol + `]},
{"username":"bob","enabled":true,"credentials":[` + credentialBob + `]}
]}
`
	bodies = `{"username":"carol","credentials":[` + credentialCarol + `]}
{"username":"bob","credentials":[` + credentialBob + `]}
`
)

func carol() keyfile.Record {
	return sample.With(sample.Carol(), func(r *keyfile.Record) { r.Created = sample.First().Created })
}

func TestLaws(t *testing.T) {
	t.Parallel()
	for _, c := range []Codec{{}, {Bodies: true}, {IfExists: Skip}, {IfExists: Overwrite}} {
		sample.AssertLaws(t, c)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	other := sample.With(sample.Bob(), func(r *keyfile.Record) { r.Owner = "carol" })
	for _, tc := range []struct {
		name  string
		codec Codec
		recs  []keyfile.Record
		want  string
	}{
		{"partial import", Codec{}, []keyfile.Record{carol(), sample.Bob()}, golden},
		{"skip", Codec{IfExists: Skip}, []keyfile.Record{carol(), sample.Bob()}, strings.Replace(golden, "FAIL", "SKIP", 1)},
		{"bodies", Codec{Bodies: true}, []keyfile.Record{carol(), sample.Bob()}, bodies},
		{"two of one person", Codec{Bodies: true}, []keyfile.Record{carol(), other},
			`{"username":"carol","credentials":[` + credentialCarol + "," + credentialBob + "]}\n"},
		{"nobody", Codec{}, nil, "{\"ifResourceExists\":\"FAIL\",\"users\":[\n]}\n"},
		{"no bodies", Codec{Bodies: true}, nil, ""},
	} {
		got, err := sample.Encode(tc.codec, tc.recs...)
		if err != nil || got != tc.want {
			t.Errorf("%s: %v, got\n%swant\n%s", tc.name, err, got, tc.want)
		}
	}
}

// TestNestedJSON reads the file as Keycloak's classes have it, without the codec: BASE32 is in every credential.
func TestNestedJSON(t *testing.T) {
	t.Parallel()
	hotp := sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Owner, r.Counter, r.Hash, r.Digits = `o'"<&>`, 7, "sha512", 8 })
	text, err := sample.Encode(Codec{}, sample.Dave(), hotp)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		IfResourceExists string
		Users            []struct {
			Username    string
			Enabled     bool
			Credentials []struct{ Type, UserLabel, SecretData, CredentialData string }
		}
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil || len(file.Users) != 2 || file.IfResourceExists != "FAIL" {
		t.Fatalf("%v in\n%s", err, text)
	}
	for i, want := range []struct{ user, label, value, data string }{
		{"dave", "TOTP00900004", "T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q", "map[algorithm:HmacSHA256 counter:0 digits:6 period:30 secretEncoding:BASE32 subType:totp]"},
		{`o'"<&>`, "10200301_2", "ZDCIYHSJZO5TKUL6J5AU6JSXT6AILWKV", "map[algorithm:HmacSHA512 counter:7 digits:8 period:30 secretEncoding:BASE32 subType:hotp]"},
	} {
		u := file.Users[i]
		var secret, data map[string]any
		if err := errors.Join(json.Unmarshal([]byte(u.Credentials[0].SecretData), &secret), json.Unmarshal([]byte(u.Credentials[0].CredentialData), &data)); err != nil {
			t.Fatal(err)
		}
		if u.Username != want.user || !u.Enabled || u.Credentials[0].Type != "otp" || u.Credentials[0].UserLabel != want.label ||
			secret["value"] != want.value || len(secret) != 1 || fmt.Sprint(data) != want.data {
			t.Errorf("%+v: %v", u, data)
		}
	}
}

// Keycloak takes a person once, and a label once a person.
func TestPersonsAndLabels(t *testing.T) {
	t.Parallel()
	again := sample.With(carol(), func(r *keyfile.Record) { r.Label = "TOTP00900009" })
	for _, tc := range []struct {
		name  string
		recs  []keyfile.Record
		field string
	}{
		{"apart", []keyfile.Record{carol(), sample.Bob(), again}, "owner"}, {"same label", []keyfile.Record{carol(), carol()}, "label"},
		{"together", []keyfile.Record{carol(), again, sample.Bob()}, ""},
		{"same label of another", []keyfile.Record{carol(), sample.With(carol(), func(r *keyfile.Record) { r.Owner = "bob" })}, ""},
	} {
		_, err := sample.Encode(Codec{}, tc.recs...)
		var refused *keyfile.LossError
		if tc.field == "" && err != nil || tc.field != "" && (!errors.As(err, &refused) || refused.Loss.Field != tc.field) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// realm is a pretty export of a realm, with a password and with a token that Keycloak made itself: 20 characters, no encoding.
const realm = `{
  "id" : "7f0b",
  "realm" : "campus",
  "notBefore" : 0,
  "roles" : { "realm" : [ { "name" : "x", "attributes" : { } } ] },
  "users" : [ {
    "id" : "1",
    "username" : "erin",
    "emailVerified" : false,
    "credentials" : [ {
      "id" : "2", "type" : "password", "createdDate" : 1, "secretData" : "{\"value\":\"x\",\"salt\":\"y\"}", "credentialData" : "{}"
    }, {
      "id" : "3", "type" : "otp", "userLabel" : "phone", "createdDate" : 1772359201999,
      "secretData" : "{\"value\":\"abcdefghij0123456789\"}",
      "credentialData" : "{\"subType\":\"totp\",\"digits\":6,\"counter\":0,\"period\":30,\"algorithm\":\"HmacSHA256\"}"
    } ]
  }, { "username" : "nobody" } ],
  "scopes" : [ null, true, 1.5 ]
}
`

func TestDecode(t *testing.T) {
	t.Parallel()
	both := []keyfile.Record{carol(), sample.Bob()}
	erin := keyfile.Record{Kind: "totp", Label: "phone", Owner: "erin", Digits: 6, Hash: "sha256", Period: 30 * time.Second,
		Key: sample.Hex(fmt.Sprintf("%x", "abcdefghij0123456789")), Created: sample.First().Created}
	var pretty strings.Builder
	for d := json.NewDecoder(strings.NewReader(golden)); ; {
		var v any
		if d.Decode(&v) == io.EOF {
			break
		}
		b, _ := json.MarshalIndent(v, "", "\t")
		pretty.Write(b)
	}
	for _, tc := range []struct {
		name, text string
		want       []keyfile.Record
	}{
		{"partial import", golden, both}, {"bodies", bodies, both}, {"CRLF", strings.ReplaceAll(golden, "\n", "\r\n"), both},
		{"BOM", "\xEF\xBB\xBF" + golden, both}, {"pretty, members sorted", pretty.String(), both}, {"realm", realm, []keyfile.Record{erin}},
		{"user behind credentials", `{"credentials":[` + credentialCarol + `],"username":"carol"}`, both[:1]},
		{"no OTP", `{"username":"a","credentials":[{"type":"webauthn"}]}`, nil},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, tc.text, tc.want)
	}
	recs, _ := sample.Decode(Codec{}, realm)
	if len(recs) == 1 && recs[0].Line != 17 {
		t.Errorf("line %d", recs[0].Line)
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(bodies, "\n")
	change := func(old, with string) string {
		if !strings.Contains(lines[0], old) {
			t.Errorf("no %s", old)
		}
		return strings.TrimSpace(strings.Replace(lines[0], old, with, 1))
	}
	for _, tc := range []struct{ name, row, field string }{
		{"encoding", change("BASE32", "HEX"), "secretEncoding"},
		{"base32", change("CJHX", "CJH1"), "value"},
		{"short", change("CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI", "CJHXTKA5"), "value"},
		{"short characters", strings.Replace(change("CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI", "CJHXTKA5"), `,\"secretEncoding\":\"BASE32\"`, "", 1), "value"},
		{"kind", change(`\"totp\"`, `\"ocra\"`), "subType"},
		{"algorithm", change("HmacSHA1", "SHA1"), "algorithm"},
		{"digits", change(`\"digits\":6`, `\"digits\":10`), "digits"},
		{"period", change(`\"period\":30`, `\"period\":0`), "period"},
		{"period as text", change(`\"period\":30`, `\"period\":\"30\"`), "credentialData"},
		{"counter", strings.Replace(change(`\"totp\"`, `\"hotp\"`), `\"counter\":0`, `\"counter\":2147483648`, 1), "counter"},
		{"secret data as object", change(`"secretData":"{\"value\":\"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI\"}"`, `"secretData":{}`), "credentials"},
		{"secret data no JSON", change(`{\"value\"`, `\"value\"`), "secretData"},
		{"the old form", change(`"secretData":"{\"value\":\"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI\"}",`, `"hashedSaltedValue":"x",`), "secretData"},
		{"label", change("TOTP00900003", "TOTP\\u0007"), "userLabel"},
		{"label no UTF-8", change("TOTP00900003", "TOTP\xff"), "userLabel"},
		{"user", change(`"username":"carol"`, `"username":" carol"`), "username"},
		{"user as number", change(`"username":"carol","credentials":[`+credentialCarol+`]`, `"username":7`), "credentials"},
	} {
		recs, errs := sample.Decode(Codec{}, lines[1]+tc.row+"\n"+lines[1])
		var bad *keyfile.RowError
		if len(errs) != 1 || len(recs) != 2 || !errors.As(errs[0], &bad) || bad.Line != 2 || bad.Field != tc.field {
			t.Errorf("%s: %d records, %v, want field %s", tc.name, len(recs), errs, tc.field)
			continue
		}
		if echo := sample.Echo(bad, strings.ReplaceAll(tc.row, "BASE32", "")); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, bad, echo)
		}
	}
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"": ErrShape, "  \n": ErrShape, "[]": ErrShape, "7": ErrShape, "{": ErrCut, `{"users"`: ErrCut, `{"users":{}}`: ErrShape, `{"users":[{"a":`: ErrCut,
		"\x00": ErrJSON, "{]": ErrJSON, `{"a":b}`: ErrJSON, "hello": ErrJSON, golden[:len(golden)/2]: ErrCut, bodies + "{": ErrCut, bodies + "tru": ErrCut,
		"\xFF\xFE{": keyfile.ErrUTF16, "-----BEGIN PGP MESSAGE-----\n": keyfile.ErrOpenPGP,
		`{"a":"` + strings.Repeat("x", 3<<20) + `"}`:     ErrTooLarge,
		`{"users":[{"a":[` + strings.Repeat("1,", 2<<20): ErrTooLarge,
		"{" + strings.Repeat(" ", 3<<20) + "}":           ErrTooLarge,
		`{"users":[` + strings.Repeat("[", 1<<19):        ErrJSON, // nested too deep
		`{"a":` + strings.Repeat(`[`, 1<<19) + "\x00":    ErrJSON,
	} {
		recs, errs := sample.Decode(Codec{}, text)
		if len(errs) == 0 || !errors.Is(errs[len(errs)-1], want) {
			t.Errorf("%.30q: %d records, %v, want %v", text, len(recs), errs, want)
		}
	}
}

// A realm is read person by person, and a reader may stop between two.
func TestStreams(t *testing.T) {
	t.Parallel()
	n := 0
	line := strings.SplitAfter(bodies, "\n")[0]
	r := io.MultiReader(strings.NewReader(`{"users":[`), strings.NewReader(strings.Repeat(strings.TrimSpace(line)+",\n", 5000)), strings.NewReader(line+"]}"))
	for rec, err := range (Codec{}).Decode(r) {
		if err != nil || rec.Line != n+1 {
			t.Fatalf("record %d: line %d, %v", n, rec.Line, err)
		}
		rec.Destroy()
		n++
	}
	if n != 5001 {
		t.Errorf("%d records", n)
	}
	for rec := range (Codec{}).Decode(strings.NewReader(golden)) {
		rec.Destroy()
		break
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	with := func(change func(*keyfile.Record)) keyfile.Record { return sample.With(carol(), change) }
	for _, tc := range []struct {
		name  string
		codec Codec
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"AES", Codec{}, sample.First(), "kind", true},
		{"nobody", Codec{}, with(func(r *keyfile.Record) { r.Owner = "" }), "owner", true},
		{"nobody's body", Codec{Bodies: true}, with(func(r *keyfile.Record) { r.Owner = "" }), "owner", true},
		{"owner", Codec{}, with(func(r *keyfile.Record) { r.Owner = "a\nb" }), "owner", true},
		{"owner", Codec{}, with(func(r *keyfile.Record) { r.Owner = "a\uFFFD" }), "owner", true},
		{"label", Codec{}, with(func(r *keyfile.Record) { r.Label = "\xff" }), "label", true},
		{"short seed", Codec{}, with(func(r *keyfile.Record) { r.Key = sample.Hex("3132") }), "key", true},
		{"counter", Codec{}, sample.With(sample.Bob(), func(r *keyfile.Record) { r.Counter = 1 << 31 }), "counter", true},
		{"48 h", Codec{}, with(func(r *keyfile.Record) { r.Period = 48 * time.Hour }), "period", true},
		{"if exists", Codec{IfExists: `FAIL"`}, carol(), "if-exists", true},
		{"overwrite", Codec{IfExists: Overwrite}, carol(), "owner", false},
		{"issuer", Codec{}, with(func(r *keyfile.Record) { r.Issuer = "x" }), "issuer", false},
		{"serial", Codec{}, with(func(r *keyfile.Record) { r.Serial = 7 }), "serial", false},
	} {
		sample.AssertLoss(t, tc.codec, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{golden: 90, bodies: 90, "\xEF\xBB\xBF" + strings.ReplaceAll(golden, "\n", "\r\n"): 90, realm: 90, realm[:120]: 60,
		"{}": 0, "": 0, `["secretData"]`: 0, `{"name":"x","key":"y"}`: 0})
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{golden, bodies, realm, "{}", `{"users":[]}`, "\x00", "\xFF\xFE"}, sample.Sound())
}
