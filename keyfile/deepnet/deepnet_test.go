package deepnet

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/xmlwalk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// reference has the form of Deepnet's own example, with seeds of sample.
const reference = `<?xml version="1.0"?>
<data>
<header>
	<manufacturerCode>DN</manufacturerCode>
	<productCode>ST</productCode>
	<encrypt>NONE</encrypt>
	<encode>HEX</encode>
	<digits>6</digits>
	<timeWindow>60</timeWindow>
	<crypto>HmacSHA1</crypto>   </header>
<tokens>
	<token>
		<serial>71358472</serial>
		<seed>C8C48C1E49CBBB35517E4F414F26579F8085D955</seed>
	</token>
	<token>
		<serial>71358473</serial>
		<seed>0E69D3441E304C01726E2A31445457DC57D0B18E</seed>
	</token>
</tokens>
</data>
`

func want() []keyfile.Record {
	a := keyfile.Record{Kind: token.TOTP, Label: "71358472", Key: sample.Hex(sample.SeedAlice), Digits: 6, Hash: "sha1", Period: time.Minute}
	return []keyfile.Record{a, sample.With(a, func(r *keyfile.Record) { r.Label, r.Key = "71358473", sample.Hex(sample.SeedBob) })}
}

func without(elements ...string) string {
	text := reference
	for _, e := range elements {
		from, to := strings.Index(text, "<"+e+">"), strings.Index(text, "</"+e+">")
		text = text[:from] + text[to+len(e)+3:]
	}
	return text
}

func TestDecode(t *testing.T) {
	t.Parallel()
	base64 := strings.NewReplacer("HEX", "BASE64", "C8C48C1E49CBBB35517E4F414F26579F8085D955", "yMSMHknLuzVRfk9BTyZXn4CF2VU=", "0E69D3441E304C01726E2A31445457DC57D0B18E", "DmnTRB4wTAFybioxRFRX3FfQsY4=").Replace(reference)
	for name, text := range map[string]string{"reference": reference, "BOM": "\xEF\xBB\xBF" + reference, "CRLF": strings.ReplaceAll(reference, "\n", "\r\n"), "base64": base64,
		"no encrypt": without("encrypt"), "no digits, no crypto": without("digits", "crypto")} {
		sample.AssertRecords(t, Reader{}, name, text, want())
		if n := (Reader{}).Detect([]byte(text)); n != 95 {
			t.Errorf("%s: Detect says %d", name, n)
		}
	}
	other := strings.NewReplacer("SHA1", "SHA512", ">60<", ">30<", ">6<", ">8<").Replace(reference)
	sample.AssertRecords(t, Reader{}, "other header", other, []keyfile.Record{
		sample.With(want()[0], func(r *keyfile.Record) { r.Hash, r.Period, r.Digits = "sha512", 30*time.Second, 8 }),
		sample.With(want()[1], func(r *keyfile.Record) { r.Hash, r.Period, r.Digits = "sha512", 30*time.Second, 8 })})
	old := without("digits", "timeWindow", "crypto")
	sample.AssertRecords(t, Reader{Period: time.Minute}, "old, with period", old, want())
	hotp := want()
	for i := range hotp {
		hotp[i].Kind, hotp[i].Period = token.HOTP, 0
	}
	sample.AssertRecords(t, Reader{Kind: token.HOTP}, "old, HOTP", old, hotp)
	for _, other := range []string{"", "<data/>", "<Tokens/>", "<data><tokens/></data>"} {
		if n := (Reader{}).Detect([]byte(other)); n != 0 {
			t.Errorf("%s: Detect says %d", other, n)
		}
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	in := func(old, new string) string { return strings.Replace(reference, old, new, 1) }
	for _, tc := range []struct {
		name, text string
		want       error
		good       int
	}{
		{"empty", "", xmlwalk.ErrSyntax, 0}, {"other root", "<Tokens></Tokens>", ErrRoot, 0}, {"no header", "<data><tokens/></data>", ErrRoot, 0},
		{"UAP 3", "<tokenList><tokenInfo/></tokenList>", ErrRoot, 0}, {"other list", strings.ReplaceAll(reference, "tokens>", "keys>"), ErrRoot, 0},
		{"AES", in("NONE", "AES256"), ErrEncrypted, 0}, {"no period", without("timeWindow"), ErrPeriod, 0}, {"encode", in("HEX", "BASE58"), ErrHeader, 0},
		{"no encode", without("encode"), ErrHeader, 0}, {"digits", in(">6<", ">9<"), ErrHeader, 0}, {"window", in(">60<", ">1 minute<"), ErrHeader, 0}, {"zero window", in(">60<", ">0<"), ErrHeader, 0},
		{"hash", in("SHA1", "MD5"), ErrHeader, 0}, {"DTD", in("<data>", "<!DOCTYPE data><data>"), xmlwalk.ErrDTD, 0}, {"cut", reference[:len(reference)-40], xmlwalk.ErrSyntax, 1},
		{"cut behind the tokens", reference[:len(reference)-9], xmlwalk.ErrSyntax, 2}, {"UTF-16", "\xFE\xFF\x00<", keyfile.ErrUTF16, 0},
		{"large", in("C8C4", strings.Repeat("C8C4", 1<<16)), xmlwalk.ErrTooLarge, 0}, {"large header", in("DN", strings.Repeat("DN", 1<<16)), xmlwalk.ErrTooLarge, 0},
		{"zeros", strings.Repeat("\x00", 1<<20), xmlwalk.ErrTooLarge, 0},
	} {
		recs, errs := sample.Decode(Reader{}, tc.text)
		if len(recs) != tc.good || len(errs) != 1 || !errors.Is(errs[0], tc.want) || keyfile.IsRow(errs[0]) {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
		}
	}
	for _, tc := range []struct{ name, old, new, field string }{
		{"no serial", "71358472", "", "serial"}, {"control in the serial", "71358472", "713&#9;58472", "serial"}, {"odd", "C8C48", "C8C4", "key"}, {"no hexadecimal", "C8C4", "C8CX", "key"},
		{"short", "C8C48C1E49CBBB35517E4F41", "", "key"}, {"long", "C8C4", strings.Repeat("C8C4", 60), "key"}, {"no seed", "C8C48C1E49CBBB35517E4F414F26579F8085D955", "", "key"},
	} {
		recs, errs := sample.Decode(Reader{}, in(tc.old, tc.new))
		var bad *keyfile.RowError
		if len(recs) != 1 || len(errs) != 1 || !errors.As(errs[0], &bad) || bad.Line != 12 || bad.Field != tc.field {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
			continue
		}
		if echo := sample.Echo(bad, reference); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, bad, echo)
		}
	}
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	sample.AssertHostile(t, Reader{}, reference)
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Reader{}, []string{reference, without("timeWindow"), strings.Replace(reference, "HEX", "BASE64", 1), "<data><header/><tokens/></data>"}, sample.Sound(token.TOTP), sample.Labelled)
}
