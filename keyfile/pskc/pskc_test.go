package pskc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// golden is what the elements of reference key-files.md §6.1 and §6.4 give for two of its tokens; the secret and the user of
// the first are that section's bytes.
const golden = `<?xml version="1.0" encoding="UTF-8"?>
<pskc:KeyContainer Version="1.0" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc">
 <pskc:KeyPackage>
  <pskc:DeviceInfo>
   <pskc:Manufacturer>oath.UB</pskc:Manufacturer>
   <pskc:SerialNo>10200301</pskc:SerialNo>
   <pskc:StartDate>2026-03-01T10:00:01Z</pskc:StartDate>
  </pskc:DeviceInfo>
  <pskc:CryptoModuleInfo><pskc:Id>1</pskc:Id></pskc:CryptoModuleInfo>
  <pskc:Key Id="10200301:1" Algorithm="http://www.yubico.com/#yubikey-aes">
   <pskc:AlgorithmParameters><pskc:ResponseFormat Encoding="ALPHANUMERIC" Length="44"/></pskc:AlgorithmParameters>
   <pskc:Data>
    <pskc:Secret><pskc:PlainValue>aIo8hCO9XggRYC/ml3/08g==</pskc:PlainValue></pskc:Secret>
   </pskc:Data>
   <pskc:UserId>CN=vvccccknlfut, UID=5c45bd4baca5</pskc:UserId>
  </pskc:Key>
 </pskc:KeyPackage>
 <pskc:KeyPackage>
  <pskc:DeviceInfo>
   <pskc:SerialNo>TOTP00900004</pskc:SerialNo>
   <pskc:UserId>CN=dave</pskc:UserId>
  </pskc:DeviceInfo>
  <pskc:Key Id="TOTP00900004" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
   <pskc:AlgorithmParameters><pskc:Suite>sha256</pskc:Suite><pskc:ResponseFormat Encoding="DECIMAL" Length="6"/></pskc:AlgorithmParameters>
   <pskc:Data>
    <pskc:Secret><pskc:PlainValue>n4gTKZpffHAdpyGSpbph5HebKRXcFwjI2d1A31PnlPk=</pskc:PlainValue></pskc:Secret>
    <pskc:Time><pskc:PlainValue>0</pskc:PlainValue></pskc:Time>
    <pskc:TimeInterval><pskc:PlainValue>30</pskc:PlainValue></pskc:TimeInterval>
   </pskc:Data>
  </pskc:Key>
 </pskc:KeyPackage>
 <pskc:KeyPackage>
  <pskc:DeviceInfo>
   <pskc:Manufacturer>oath.UB</pskc:Manufacturer>
   <pskc:SerialNo>10200301</pskc:SerialNo>
  </pskc:DeviceInfo>
  <pskc:CryptoModuleInfo><pskc:Id>2</pskc:Id></pskc:CryptoModuleInfo>
  <pskc:Key Id="10200301:2" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
   <pskc:AlgorithmParameters><pskc:Suite>sha1</pskc:Suite><pskc:ResponseFormat Encoding="DECIMAL" Length="6"/></pskc:AlgorithmParameters>
   <pskc:Data>
    <pskc:Secret><pskc:PlainValue>yMSMHknLuzVRfk9BTyZXn4CF2VU=</pskc:PlainValue></pskc:Secret>
    <pskc:Counter><pskc:PlainValue>0</pskc:PlainValue></pskc:Counter>
   </pskc:Data>
  </pskc:Key>
 </pskc:KeyPackage>
</pskc:KeyContainer>
`

func goldenRecords() []keyfile.Record {
	return []keyfile.Record{sample.First(), sample.Dave(), sample.SlotHOTP()}
}

func TestEncodeGolden(t *testing.T) {
	t.Parallel()
	got, err := sample.Encode(Codec{}, goldenRecords()...)
	if err != nil || got != golden {
		t.Errorf("%v, got\n%s", err, got)
	}
	if _, err := sample.Encode(Codec{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty container: %v", err)
	}
}

// toolStyle is how the Personalization Tool writes while it runs: default namespace, one package a line, nothing closed. The
// second package has a token identifier. Source: reference key-files.md §6.4.
const toolStyle = `<?xml version="1.0"?>
<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
<KeyPackage><DeviceInfo><Manufacturer>Yubico</Manufacturer><SerialNo>10200301</SerialNo></DeviceInfo><CryptoModuleInfo><Id>1</Id></CryptoModuleInfo><Key Id="10200301:1" Algorithm="http://www.yubico.com/#yubikey-aes"><AlgorithmParameters><ResponseFormat Length="44" Encoding="ALPHANUMERIC"/></AlgorithmParameters><Data><Secret><PlainValue>aIo8hCO9XggRYC/ml3/08g==</PlainValue></Secret></Data><UserId>CN=vvccccknlfut, UID=5c45bd4baca5</UserId></Key><Extensions><YubiKey xmlns="http://www.yubico.com/#yubikey-aes-ext"><YubiKeyLock Code="031b554b18a7"/></YubiKey></Extensions></KeyPackage>
<KeyPackage><DeviceInfo><Manufacturer>Yubico</Manufacturer></DeviceInfo><CryptoModuleInfo><Id>2</Id></CryptoModuleInfo><Key Id="ubnu00900001" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp"><AlgorithmParameters><ResponseFormat Length="18" Encoding="DECIMAL"/></AlgorithmParameters><Data><Secret><PlainValue> yMSMHknLuzVR
fk9BTyZXn4CF2VU= </PlainValue></Secret><Counter><PlainValue>0</PlainValue></Counter></Data></Key></KeyPackage>
`

func TestDecodeDialects(t *testing.T) {
	t.Parallel()
	tool := sample.With(sample.First(), func(r *keyfile.Record) { r.AccessCode, r.Created = sample.Hex(sample.Access2), time.Time{} })
	hotp := sample.With(sample.SlotHOTP(), func(r *keyfile.Record) { r.Serial, r.Slot, r.Label = 0, 0, "ubnu00900001" })
	attribute := strings.Replace(golden, "<pskc:Suite>sha256</pskc:Suite>", `<pskc:Suite hashalgo="sha256"/>`, 1)
	hmac := strings.Replace(golden, ">sha256<", ">HMAC-SHA256<", 1)
	for _, tc := range []struct {
		name, text string
		want       []keyfile.Record
	}{
		{"own", golden, goldenRecords()},
		{"BOM", "\xEF\xBB\xBF" + golden, goldenRecords()},
		{"CRLF", strings.ReplaceAll(golden, "\n", "\r\n"), goldenRecords()},
		{"no prefix", strings.NewReplacer("<pskc:", "<", "</pskc:", "</", "xmlns:pskc", "xmlns").Replace(golden), goldenRecords()},
		{"privacyIDEA's suite", attribute, goldenRecords()},
		{"long suite", hmac, goldenRecords()},
		{"unclosed", strings.TrimSuffix(golden, foot), goldenRecords()},
		{"Personalization Tool", toolStyle, []keyfile.Record{tool, hotp}},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, tc.text, tc.want)
	}
}

func TestKSMGeneratorsDialect(t *testing.T) {
	t.Parallel()
	recs, errs := sample.Decode(Codec{}, strings.Replace(golden, `"10200301:1"`, `"yk-key-10200301-slot-1"`, 1))
	if len(errs) > 0 || len(recs) != 3 || recs[0].Serial != 10200301 || recs[0].Slot != 1 || recs[0].Label != "" {
		t.Errorf("%v, %d records", errs, len(recs))
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	type want struct {
		serial token.Serial
		slot   token.Slot
		label  string
	}
	for _, tc := range []struct {
		names names
		want  want
	}{
		{names{kind: token.YubicoOTP, keyID: "7:1"}, want{serial: 7, slot: 1}},
		{names{kind: token.HOTP, keyID: "7:2", serialNo: "7"}, want{serial: 7, slot: 2}},
		{names{kind: token.HOTP, keyID: "7:0"}, want{serial: 7}},
		{names{kind: token.HOTP, keyID: "7:3"}, want{label: "7:3"}},
		{names{kind: token.HOTP, keyID: "007:1"}, want{label: "007:1"}},
		{names{kind: token.HOTP, keyID: "7:1", serialNo: "8"}, want{label: "8"}},
		{names{kind: token.HOTP, keyID: "12345678", serialNo: "987654321"}, want{label: "987654321"}},
		{names{kind: token.TOTP, keyID: "7:1"}, want{label: "7:1"}},
		{names{kind: token.YubicoOTP, keyID: "k", serialNo: "7", module: "2"}, want{serial: 7, slot: 2}},
		{names{kind: token.YubicoOTP, keyID: "k", module: "1"}, want{slot: 1, label: "k"}},
	} {
		var r keyfile.Record
		tc.names.put(&r)
		if got := (want{r.Serial, r.Slot, r.Label}); got != tc.want {
			t.Errorf("%+v: got %+v, want %+v", tc.names, got, tc.want)
		}
	}
}

func TestBadPackages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, old, new, field string }{
		{"base64", "aIo8hCO9", "aIo8hC$9", "key"},
		{"short key", "aIo8hCO9XggRYC/ml3/08g==", "aIo8hCO9", "key"},
		{"no key", "<pskc:PlainValue>aIo8hCO9XggRYC/ml3/08g==</pskc:PlainValue>", "", "key"},
		{"two secrets", "<pskc:PlainValue>aIo", "<pskc:PlainValue>aIo8hCO9</pskc:PlainValue><pskc:PlainValue>aIo", "key"},
		{"element in the secret", "aIo8hCO9Xgg", "AAAA<x/>aIo8hCO9Xgg", "key"},
		{"element after the secret", "g==</pskc:PlainValue>", "g==<x/></pskc:PlainValue>", "key"},
		{"reference", "<pskc:Data>", "<pskc:KeyReference>elsewhere</pskc:KeyReference><pskc:Data>", "key"},
		{"public ID", "CN=vvcccckn", "CN=01234567", "public-id"},
		{"private ID", "UID=5c45bd4b", "UID=5c45bd4x", "private-id"},
		{"algorithm", "#yubikey-aes", "#yubikey-des", "algorithm"},
		{"no algorithm", ` Algorithm="http://www.yubico.com/#yubikey-aes"`, "", "algorithm"},
		{"date", "2026-03-01T10:00:01Z", "01.03.2026", "created"},
		{"two keys", "  </pskc:Key>\n", "</pskc:Key><pskc:Key Id=\"2\"></pskc:Key>", "key"},
		{"control in serial", "<pskc:SerialNo>10200301<", "<pskc:SerialNo>102&#x9;00301<", "serial"},
		{"usage", "<pskc:UserId>CN=vv", "<pskc:Policy><pskc:KeyUsage>CR</pskc:KeyUsage></pskc:Policy><pskc:UserId>CN=vv", "policy"},
		{"policy", "<pskc:UserId>CN=vv", "<pskc:Policy><pskc:Moon>full</pskc:Moon></pskc:Policy><pskc:UserId>CN=vv", "policy"},
		{"access code", "<pskc:UserId>CN=vv", `<pskc:Extensions><YubiKeyLock Code="03"/></pskc:Extensions><pskc:UserId>CN=vv`, "access-code"},
	} {
		assertBad(t, tc.name, strings.Replace(golden, tc.old, tc.new, 1), tc.field, 3, 17)
	}
	for _, tc := range []struct{ name, old, new, field string }{
		{"hash", ">sha256<", ">sha224<", "hash"},
		{"digits", `Encoding="DECIMAL" Length="6"`, `Encoding="DECIMAL" Length="9"`, "digits"},
		{"length", `Encoding="DECIMAL" Length="6"`, `Encoding="DECIMAL" Length="x6"`, "length"},
		{"encoding", `"DECIMAL"`, `"HEXADECIMAL"`, "encoding"},
		{"check digits", `"DECIMAL"`, `"DECIMAL" CheckDigits="true"`, "check-digits"},
		{"period", "<pskc:PlainValue>30<", "<pskc:PlainValue>0<", "period"},
		{"drift", "</pskc:TimeInterval>", "</pskc:TimeInterval><pskc:TimeDrift><pskc:PlainValue>2</pskc:PlainValue></pskc:TimeDrift>", "drift"},
		{"owner", "CN=dave", "CN=da&#x9;ve", "owner"},
	} {
		assertBad(t, tc.name, strings.Replace(golden, tc.old, tc.new, 1), tc.field, 18, 33)
	}
	assertBad(t, "counter", strings.Replace(golden, "<pskc:Counter><pskc:PlainValue>0", "<pskc:Counter><pskc:PlainValue>-1", 1), "counter", 34, 47)
}

// assertBad wants one bad package among three, in the lines from to to.
func assertBad(t *testing.T, name, text, field string, from, to int) {
	t.Helper()
	recs, errs := sample.Decode(Codec{}, text)
	var bad *keyfile.RowError
	if text == golden || len(errs) != 1 || len(recs) != 2 || !errors.As(errs[0], &bad) {
		t.Errorf("%s: %d records, %v", name, len(recs), errs)
		return
	}
	if bad.Line < from || bad.Line > to || bad.Field != field || bad.Format != "pskc" {
		t.Errorf("%s: %v, want field %s in lines %d to %d", name, bad, field, from, to)
	}
	if echo := sample.Echo(bad, text); echo != "" && !strings.Contains("sha256", echo) {
		t.Errorf("%s: %q repeats %q", name, bad, echo)
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	in := func(old, new string) string { return strings.Replace(golden, old, new, 1) }
	pkg := " <pskc:KeyPackage>\n"
	for _, tc := range []struct {
		name, text string
		want       error // nil: any
		good       int
	}{
		{"encrypted", in("<pskc:PlainValue>aIo8hCO9XggRYC/ml3/08g==</pskc:PlainValue>", "<pskc:EncryptedValue/>"), keyfile.ErrLocked, 0},
		{"cut in the encryption key", in(pkg, "<pskc:EncryptionKey>")[:300], ErrCut, 0},
		{"document type", in("<pskc:KeyContainer", "<!DOCTYPE a [<!ENTITY b \"c\">]><pskc:KeyContainer"), ErrDTD, 0},
		{"entity", in("10200301<", "&b;<"), nil, 0},
		{"other root", "<a></a>", ErrRoot, 0},
		{"two roots", golden + golden[strings.Index(golden, "<pskc"):], ErrRoot, 3},
		{"empty", "", ErrRoot, 0},
		{"text", "10200301,vvccccknlfut", nil, 0},
		{"cut in the package", golden[:strings.Index(golden, "UID=")], ErrCut, 0},
		{"cut in a tag", golden[:strings.LastIndex(golden, "KeyPackage>\n  <pskc:Dev")+5], ErrCut, 2},
		{"too deep", in(pkg, pkg+strings.Repeat("<a>", 30)), ErrTooDeep, 0},
		{"too large", in("oath.UB", strings.Repeat("a", 2*maxPackage)), ErrTooLarge, 0},
		{"large attribute", in(`Length="44"`, `Length="`+strings.Repeat("4", 2*maxPackage)+`"`), ErrTooLarge, 0},
		{"large before the packages", in(pkg, strings.Repeat(" ", 2*maxPackage)+pkg), ErrTooLarge, 0},
		{"UTF-16", "\xFF\xFE<\x00", keyfile.ErrUTF16, 0},
		{"OpenPGP", "-----BEGIN PGP MESSAGE-----\n", keyfile.ErrOpenPGP, 0},
		{"other encoding", in("UTF-8", "ISO-8859-1"), nil, 0},
		{"bad UTF-8", in("oath.UB", "oath\xff"), nil, 0},
		{"mismatched end", in("</pskc:DeviceInfo>", "</pskc:Other>"), nil, 0},
	} {
		recs, errs := sample.Decode(Codec{}, tc.text)
		if len(errs) != 1 || len(recs) != tc.good || keyfile.IsRow(errs[0]) || (tc.want != nil && !errors.Is(errs[0], tc.want)) {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
			continue
		}
		if echo := sample.Echo(errs[0], tc.text); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, errs[0], echo)
		}
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
		{"access code", sample.Second(), "access-code", false},
		{"owner", sample.Dave(), "owner", false},
		{"unknown slot", sample.With(sample.First(), func(r *keyfile.Record) { r.Slot = 0 }), "slot", false},
		{"unknown serial", sample.With(sample.First(), func(r *keyfile.Record) { r.Serial = 0 }), "serial", false},
		{"label beside serial", sample.With(sample.First(), func(r *keyfile.Record) { r.Label = "x" }), "label", false},
		{"no name", sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label = "" }), "serial", true},
		{"label like a serial", sample.With(sample.First(), func(r *keyfile.Record) { r.Serial, r.Label = 0, "77" }), "label", true},
		{"label", sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label = "a\nb" }), "label", true},
		{"owner's name", sample.With(sample.Dave(), func(r *keyfile.Record) { r.Owner = "a\x00b" }), "owner", true},
		{"short key", sample.With(sample.First(), func(r *keyfile.Record) { r.Key = sample.Hex("00") }), "key", true},
		{"hash", sample.With(sample.Dave(), func(r *keyfile.Record) { r.Hash = "md5" }), "hash", true},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

func TestOwnersAreDistinguishedNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CN=dave": "dave", "cn=dave, O=campus": "dave", "O=campus, UID=dave": "dave", `CN=Doe\, Dave, O=campus`: "Doe, Dave", "dave": "dave", "CN=": "", `CN=a\`: `a\`,
	} {
		if got := account(text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	for _, name := range []string{"dave", "a,b", `a\b`, "#a", "a=b;c", "<a>", "é", "O=x"} {
		if got := account("CN=" + escapeDN(name)); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
}
