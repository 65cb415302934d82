package otpauth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// reference is the URI of reference key-files.md §8.5, byte for byte.
const reference = "otpauth://totp/Campus%20Login:dave%40example.org?secret=T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q" +
	"&issuer=Campus%20Login&algorithm=SHA256&digits=6&period=30"

func campusDave() keyfile.Record {
	return sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label, r.Issuer, r.Owner = "", "Campus Login", "dave@example.org" })
}

func TestFormatReference(t *testing.T) {
	t.Parallel()
	uri, err := Format(campusDave())
	if err != nil || string(uri.Reveal()) != reference {
		t.Errorf("%v, got\n%s", err, uri.Reveal())
	}
	held := sample.With(campusDave(), func(r *keyfile.Record) { r.Account, r.Owner = "dave@example.org", "somebody" })
	if uri, err = Format(held); err != nil || string(uri.Reveal()) != reference {
		t.Errorf("an account with a name of its own: %v, got\n%s", err, uri.Reveal())
	}
	hotp := sample.With(sample.Bob(), func(r *keyfile.Record) { r.Issuer, r.Owner = "a&b=c+d", "Jürgen 100%?#/" })
	uri, err = Format(hotp)
	const want = "otpauth://hotp/a%26b%3Dc%2Bd:J%C3%BCrgen%20100%25%3F%23%2F?secret=BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO" +
		"&issuer=a%26b%3Dc%2Bd&algorithm=SHA1&digits=8&counter=42"
	if err != nil || string(uri.Reveal()) != want {
		t.Errorf("%v, got\n%s", err, uri.Reveal())
	}
	var refused *keyfile.LossError
	if _, err := Format(sample.First()); !errors.As(err, &refused) || refused.Loss.Field != "kind" {
		t.Errorf("a Yubico OTP: %v", err)
	}
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestList(t *testing.T) {
	t.Parallel()
	got, err := sample.Encode(Codec{}, campusDave(), campusDave())
	if want := reference + "\n" + reference + "\n"; err != nil || got != want {
		t.Errorf("%v, got\n%s", err, got)
	}
	for name, text := range map[string]string{"plain": got, "BOM": "\xEF\xBB\xBF" + got, "CRLF": strings.ReplaceAll(got, "\n", "\r\n"),
		"comment": "# note\n\n" + got, "no last end": strings.TrimSpace(got), "blanks around": "  " + strings.ReplaceAll(got, "\n", " \n")} {
		sample.AssertRecords(t, Codec{}, name, text, []keyfile.Record{campusDave(), campusDave()})
	}
}

// The right side is changed in the record that the reference's URI gives.
func TestReadsTolerantly(t *testing.T) {
	t.Parallel()
	same := func(*keyfile.Record) {}
	for _, tc := range []struct {
		name, old, new string
		change         func(*keyfile.Record)
	}{
		{"as it is", "", "", same},
		{"upper case scheme", "otpauth://totp", "OTPAUTH://TOTP", same},
		{"lower case secret", "T6EBGKM2L56HAHNH", "t6ebgkm2l56hahnh", same},
		{"blanks in the secret", "T6EBGKM2L56H", "T6EB%20GKM2+L56H", same},
		{"hyphens in the secret", "T6EBGKM2L56H", "T6EB-GKM2-L56H", same},
		{"padding", "HST4Q&", "HST4Q====&", same},
		{"escaped padding", "HST4Q&", "HST4Q%3D%3D%3D%3D&", same},
		{"%3A in the label", "Login:dave", "Login%3Adave", same},
		{"blank after the colon", "Login:dave", "Login:%20dave", same},
		{"raw at", "%40", "@", same},
		{"+ for blank in the query", "issuer=Campus%20Login", "issuer=Campus+Login", same},
		{"unknown parameters", "&digits", "&image=x&color=y&lock=true&flag&digits", same},
		{"parameter in upper case", "&digits=", "&DIGITS=", same},
		{"issuer parameter wins", "issuer=Campus%20Login", "issuer=Other", func(r *keyfile.Record) { r.Issuer = "Other" }},
		{"issuer in the label only", "&issuer=Campus%20Login", "", same},
		{"issuer in the query only", "Campus%20Login:", "", same},
		{"+ is literal in the label", "Campus%20Login:dave", "dave+x", func(r *keyfile.Record) { r.Owner = "dave+x@example.org" }},
		{"two colons", "Login:dave", "Login:a:dave", func(r *keyfile.Record) { r.Owner = "a:dave@example.org" }},
		{"two colons, other issuer", "totp/Campus%20Login:", "totp/a:b:", func(r *keyfile.Record) { r.Owner = "a:b:dave@example.org" }},
		{"defaults", "&algorithm=SHA256&digits=6&period=30", "", func(r *keyfile.Record) { r.Hash = "sha1" }},
		{"hyphen in the hash", "SHA256", "sha-256", same},
		{"Java's word for the hash", "SHA256", "HmacSHA256", same},
		{"SHA512", "SHA256", "SHA512", func(r *keyfile.Record) { r.Hash = "sha512" }},
		{"8 digits, 60 seconds", "6&period=30", "8&period=60", func(r *keyfile.Record) { r.Digits, r.Period = 8, time.Minute }},
		{"hotp", "totp", "hotp", func(r *keyfile.Record) { r.Kind, r.Period = token.HOTP, 0 }},
		{"hotp with counter", "totp/Campus%20Login:dave%40example.org?", "hotp/Campus%20Login:dave%40example.org?counter=7&",
			func(r *keyfile.Record) { r.Kind, r.Period, r.Counter = token.HOTP, 0, 7 }},
		{"no account", "Campus%20Login:dave%40example.org", "", func(r *keyfile.Record) { r.Owner = "" }},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, strings.Replace(reference, tc.old, tc.new, 1), []keyfile.Record{sample.With(campusDave(), tc.change)})
	}
	plus := "otpauth://totp/C++:dave?secret=CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI&issuer=C++"
	sample.AssertRecords(t, Codec{}, "+ in both places", plus,
		[]keyfile.Record{sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label, r.Issuer, r.Owner = "", "C++", "dave" })})
}

func TestBadURIs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, old, new, field string }{
		{"other scheme", "otpauth:", "https:", "scheme"},
		{"no scheme", "otpauth://", "", "scheme"},
		{"migration", "otpauth://totp", "otpauth-migration://offline", "scheme"},
		{"mOTP", "otpauth:", "motp:", "type"},
		{"Steam scheme", "otpauth:", "steam:", "type"},
		{"Steam type", "/totp/", "/steam/", "type"},
		{"Yandex", "/totp/", "/yaotp/", "type"},
		{"OCRA", "/totp/", "/ocra/", "type"},
		{"other type", "/totp/", "/x/", "type"},
		{"Steam encoder", "&digits=6", "&encoder=steam&digits=6", "type"},
		{"no secret", "secret=", "secrets=", "key"},
		{"empty secret", "T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q", "", "key"},
		{"no base32", "T6EBGKM2", "T6EBGKM1", "key"},
		{"base32 of an impossible length", "HST4Q", "HST4", "key"},
		{"long secret", "T6EBGKM2", strings.Repeat("T6EBGKM2", 20), "key"},
		{"secret twice", "&digits", "&secret=AAAA&digits", "key"},
		{"issuer twice", "&digits", "&issuer=x&digits", "issuer"},
		{"MD5", "SHA256", "MD5", "hash"},
		{"SHA224", "SHA256", "SHA224", "hash"},
		{"other hash", "SHA256", "SHA3", "hash"},
		{"digits", "digits=6", "digits=9", "digits"},
		{"signed digits", "digits=6", "digits=+6", "digits"},
		{"no period", "period=30", "period=0", "period"},
		{"negative period", "period=30", "period=-30", "period"},
		{"broken escape", "%40", "%4g", "owner"},
		{"escape at the end", "period=30", "period=30%", "period"},
		{"control in the account", "%40", "%0A", "owner"},
		{"account is no UTF-8", "%40", "%FF", "owner"},
		{"long account", "dave", strings.Repeat("dave", 70), "owner"},
		{"NUL in the issuer", "issuer=Campus", "issuer=%00", "issuer"},
	} {
		text := strings.Replace(reference, tc.old, tc.new, 1)
		sample.AssertBadRow(t, Codec{}, tc.name, "# first line\n"+text+"\n"+reference, 1, tc.field, 0)
	}
	hotp := strings.NewReplacer("totp", "hotp", "period", "counter", "30", "-1").Replace(reference)
	sample.AssertBadRow(t, Codec{}, "counter", "# first line\n"+hotp+"\n"+reference, 1, "counter", 0)
}

func TestParse(t *testing.T) {
	t.Parallel()
	rec, err := Parse([]byte(reference))
	if err != nil || len(keyfile.Differences(rec, campusDave())) > 0 {
		t.Errorf("%v", err)
	}
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"none": {"", ErrNone}, "two": {reference + "\n" + reference, ErrMany}, "UTF-16": {"\xFF\xFEo\x00", keyfile.ErrUTF16},
	} {
		if rec, err := Parse([]byte(tc.text)); !errors.Is(err, tc.want) || rec.Key.Len() > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse([]byte("WIFI:S:net;P:123456;;")); !keyfile.IsRow(err) || sample.Echo(err, "123456") != "" {
		t.Error(err)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	change := func(f func(*keyfile.Record)) keyfile.Record { return sample.With(campusDave(), f) }
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"Yubico OTP", sample.First(), "kind", true},
		{"label", sample.Dave(), "label", false},
		{"no issuer", sample.Dave(), "issuer", false},
		{"serial", sample.SlotHOTP(), "serial", false},
		{"hash", campusDave(), "hash", false},
		{"digits", change(func(r *keyfile.Record) { r.Digits = 8 }), "digits", false},
		{"period", change(func(r *keyfile.Record) { r.Period = time.Minute }), "period", false},
		{"short seed", change(func(r *keyfile.Record) { r.Key = sample.Hex("00112233445566778899") }), "key", false},
		{"nobody's", change(func(r *keyfile.Record) { r.Owner = "" }), "owner", true},
		{"colon in the account", change(func(r *keyfile.Record) { r.Owner = "a:b" }), "owner", true},
		{"its own name, not the holder's", change(func(r *keyfile.Record) { r.Account = "own" }), "owner", false},
		{"colon in its own name", change(func(r *keyfile.Record) { r.Account = "a:b" }), "account", true},
		{"colon in the issuer", change(func(r *keyfile.Record) { r.Issuer = "a:b" }), "issuer", true},
		{"control", change(func(r *keyfile.Record) { r.Issuer = "a\nb" }), "issuer", true},
		{"long account", change(func(r *keyfile.Record) { r.Owner = strings.Repeat("a", 256) }), "owner", true},
		{"no digits", change(func(r *keyfile.Record) { r.Digits = 0 }), "digits", true},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestLongestURIIsRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 127)
	rec := sample.With(campusDave(), func(r *keyfile.Record) {
		r.Issuer, r.Owner, r.Key = long, long, sample.Hex(strings.Repeat("ff", keyfile.MaxSeedSize))
	})
	uri, err := Format(rec)
	if err != nil || uri.Len() > maxURI || uri.Len() > keyfile.MaxLine {
		t.Fatalf("%d bytes, %v", uri.Len(), err)
	}
	if got, err := Parse(uri.Reveal()); err != nil || len(keyfile.Differences(got, rec)) > 0 {
		t.Error(err)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{
		reference: 95, "\xEF\xBB\xBF\n# list\r\nOTPAUTH://x": 95, "otpauth-migration://offline?data=": 0, "": 0, "otpauth": 0, "x\n" + reference: 0,
	})
}
