package pskc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// readFigure is a document of RFC 6030, with its values and another indentation.
func readFigure(tb testing.TB, n int) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("figure%d.xml", n)))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// figureRecord is what most of the figures hold.
func figureRecord(label, issuer string, digits int) keyfile.Record {
	return keyfile.Record{Kind: token.HOTP, Label: label, Key: secret.Copy([]byte("12345678901234567890")), Digits: digits, Hash: "sha1", Issuer: issuer}
}

// Source of what the figures hold: reference key-files.md §6.3.
func TestFigures(t *testing.T) {
	t.Parallel()
	r := unlocked(figureKey(), []byte("qwerty"))
	minimum := figureRecord("12345678", "Issuer-A", 6)
	minimum.Key = secret.Copy([]byte("1234"))
	device := figureRecord("987654321", "Issuer", 8)
	owned := sample.With(device, func(r *keyfile.Record) { r.Owner = "jsmith" })
	var bulk []keyfile.Record
	for _, serial := range []string{"654321", "123456", "9999999", "9999999"} {
		bulk = append(bulk, figureRecord(serial, "Issuer", 8))
	}
	for n, want := range map[int][]keyfile.Record{
		2: {minimum}, 3: {owned}, 6: {device}, 7: {figureRecord("987654321", "Example-Issuer", 8)},
		9: {figureRecord("0755225266", "Example-Issuer", 6)}, 10: bulk,
	} {
		sample.AssertRecords(t, r, fmt.Sprint("figure ", n), readFigure(t, n), want)
	}
}

func TestFiguresThatAreRefused(t *testing.T) {
	t.Parallel()
	r := unlocked(figureKey(), nil)
	for _, tc := range []struct{ figure, good int }{{4, 0}, {5, 1}} {
		recs, errs := sample.Decode(r, readFigure(t, tc.figure))
		if len(recs) != tc.good || len(errs) != 1 || !keyfile.IsRow(errs[0]) {
			t.Errorf("figure %d: %d records, %v", tc.figure, len(recs), errs)
		}
	}
	recs, errs := sample.Decode(r, readFigure(t, 8))
	if len(recs) != 0 || len(errs) != 1 || !errors.Is(errs[0], ErrCertificate) || !strings.Contains(errs[0].Error(), "pre-shared key or a password") {
		t.Errorf("figure 8: %d records, %v", len(recs), errs)
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	for figure, want := range map[int]string{5: "PIN", 9: "signature is not verified", 10: "validity"} {
		var notes []string
		sample.Decode(Codec{Note: func(line int, text string) { notes = append(notes, fmt.Sprint(line, " ", text)) }}, readFigure(t, figure))
		if len(notes) != 1 || !strings.Contains(notes[0], want) || strings.HasPrefix(notes[0], "0 ") {
			t.Errorf("figure %d: %q", figure, notes)
		}
	}
}

// feitian, draft02 and draft are as the vendors' and the drafts' documents of reference key-files.md §5, §6.3 and §9, with
// the sample seeds.
const feitian = `<?xml version="1.0" encoding="UTF-8"?>
<KeyContainer Version="1.0" xmlns ="urn:ietf:params:xml:ns:keyprov:pskc">
 <KeyPackage>
  <DeviceInfo><Manufacturer>FeiTian Technology Co.,Ltd</Manufacturer><SerialNo>2600124809778</SerialNo></DeviceInfo>
  <Key Id="2600124809778" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
   <AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters>
   <Data><Secret><PlainValue>Ek95qB0X1P8jXD4YOeITElAbuWg=</PlainValue></Secret><Time><PlainValue>0</PlainValue></Time><TimeInterval><PlainValue>60</PlainValue></TimeInterval></Data>
   <Policy><StartDate>2012-08-01T00:00:00Z</StartDate><ExpiryDate>2037-12-31T00:00:00Z</ExpiryDate></Policy>
  </Key>
 </KeyPackage>
</KeyContainer>`

const draft02 = `<KeyContainer Version="1" id="exampleID1" xmlns="urn:ietf:params:xml:ns:keyprov:pskc:1.0">
 <Device>
  <DeviceInfo><Manufacturer>Feitian</Manufacturer><SerialNo>2600124809778</SerialNo></DeviceInfo>
  <Key KeyAlgorithm="http://www.ietf.org/keyprov/pskc#totp" KeyId="2600124809778">
   <Usage OTP="true"><ResponseFormat Length="6" Format="DECIMAL"/></Usage>
   <Data><Secret><PlainValue>Ek95qB0X1P8jXD4YOeITElAbuWg=</PlainValue></Secret><TimeInterval><PlainValue>60</PlainValue></TimeInterval></Data>
  </Key>
 </Device>
</KeyContainer>`

func TestVendors(t *testing.T) {
	t.Parallel()
	want := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label, r.Owner, r.Period = "2600124809778", "", time.Minute })
	sample.AssertRecords(t, Codec{}, "Feitian", feitian, []keyfile.Record{want})
	sample.AssertRecords(t, Codec{}, "draft", draft02, []keyfile.Record{want})
	for _, uri := range []string{"urn:ietf:params:xml:ns:keyprov:pskc#totp", "urn:ietf:params:xml:ns:keyprov:pskc:1.0#totp", "URN:IETF:params:xml:ns:keyprov:pskc:TOTP"} {
		sample.AssertRecords(t, Codec{}, uri, strings.Replace(draft02, "http://www.ietf.org/keyprov/pskc#totp", uri, 1), []keyfile.Record{want})
	}
	for _, uri := range []string{"http://example.org/#totp", "urn:ietf:params:xml:ns:keyprov:pskc:ocra", "totp"} {
		recs, errs := sample.Decode(Codec{}, strings.Replace(draft02, "http://www.ietf.org/keyprov/pskc#totp", uri, 1))
		if len(recs) != 0 || len(errs) != 1 || !keyfile.IsRow(errs[0]) {
			t.Errorf("%s: %d records, %v", uri, len(recs), errs)
		}
	}
	assertRow(t, "draft's format", Codec{}, strings.Replace(draft02, `Format="DECIMAL"`, `Format="HEXADECIMAL"`, 1), "no decimal numbers")
}

// ActivIdentity's files: an initialization vector of the container's own, the digest over the clear bytes, numbers in base64.
const activIdentity = `<KeyContainer xmlns="urn:ietf:params:xml:ns:keyprov:container:1.0" version="1.0">
<EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc">
<IV>%s</IV>
</EncryptionMethod>
<DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"/>
<Device>
<DeviceId><Manufacturer>ActivIdentity</Manufacturer><SerialNo>0950380269</SerialNo></DeviceId>
<Key KeyAlgorithm="http://www.ietf.org/keyprov/pskc#hotp" KeyId="0950380269">
<Issuer>ActivIdentity</Issuer>
<Usage OTP="true"><ResponseFormat Format="DECIMAL" Length="8"/></Usage>
<Data Name="SECRET"><Value>%s</Value><ValueDigest>%s</ValueDigest></Data>
<Data Name="COUNTER"><Value>AAAAADHwRgM=</Value></Data>
</Key>
</Device>
</KeyContainer>`

func TestActivIdentity(t *testing.T) {
	t.Parallel()
	b := newBox()
	seed := sample.Carol().Key
	data := b.encrypt(seed.Reveal())
	text := fmt.Sprintf(activIdentity, base64Of(data[:16]), base64Of(data[16:]), base64Of(hmacSHA1(b.key, seed.Reveal())))
	want := keyfile.Record{Kind: token.HOTP, Label: "0950380269", Key: seed, Digits: 8, Hash: "sha1", Counter: 0x31F04603, Issuer: "ActivIdentity"}
	sample.AssertRecords(t, unlocked(b.key, nil), "ActivIdentity", text, []keyfile.Record{want})
	changed := strings.Replace(text, base64Of(data[16:]), base64Of(append(data[16:47:47], data[47]^1)), 1)
	recs, errs := sample.Decode(unlocked(b.key, nil), changed)
	if len(recs) != 0 || len(errs) != 1 || !keyfile.IsRow(errs[0]) {
		t.Errorf("a changed value: %d records, %v", len(recs), errs)
	}
}

// privacyIDEA's exporter passes its text through an HTML parser: all names become lower case, the hash is an attribute, an HOTP
// key has a time interval of 0, and a drift that was never seen is None. Source: reference key-files.md §4.4.
func TestPrivacyIDEAExport(t *testing.T) {
	t.Parallel()
	b := newBox()
	key := func(kind, hash, seed, interval, counter, drift string) string {
		inside, _ := b.value(sample.Hex(seed).Reveal())
		return `<keypackage><deviceinfo><manufacturer></manufacturer><serialno>` + kind + `1</serialno></deviceinfo>` +
			`<key algorithm="urn:ietf:params:xml:ns:keyprov:pskc:` + kind + `" id="` + kind + `1"><issuer>privacyIDEA</issuer>` +
			`<algorithmparameters><responseformat encoding="DECIMAL" length="6"></responseformat><suite hashalgo="` + hash + `"></suite></algorithmparameters>` +
			`<data><secret>` + strings.NewReplacer("EncryptedValue", "encryptedvalue", "EncryptionMethod Algorithm", "encryptionmethod algorithm",
			"CipherData", "cipherdata", "CipherValue", "ciphervalue", "ValueMAC", "valuemac").Replace(inside) +
			`</secret><time><plainvalue>0</plainvalue></time><timeinterval><plainvalue>` + interval + `</plainvalue></timeinterval>` +
			`<counter><plainvalue>` + counter + `</plainvalue></counter><timedrift><plainvalue>` + drift + `</plainvalue></timedrift></data></key></keypackage>`
	}
	text := strings.NewReplacer("KeyContainer Version", "keycontainer version", "EncryptionKey", "encryptionkey", "KeyName", "keyname", "MACMethod Algorithm", "macmethod algorithm",
		"MACMethod", "macmethod", "MACKey", "mackey", "EncryptionMethod Algorithm", "encryptionmethod algorithm", "CipherData", "cipherdata", "CipherValue", "ciphervalue").Replace(b.open()) +
		key("hotp", "sha1", sample.SeedAlice, "0", "5", "0") + key("totp", "sha256", sample.SeedDave, "30", "58000000", "None") + "</keycontainer>"
	hotp := sample.With(sample.Alice(), func(r *keyfile.Record) { r.Label, r.Owner, r.Counter, r.Issuer = "hotp1", "", 5, "privacyIDEA" })
	totp := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label, r.Owner, r.Issuer = "totp1", "", "privacyIDEA" })
	sample.AssertRecords(t, unlocked(b.key, nil), "privacyIDEA", text, []keyfile.Record{hotp, totp})
	if n := (Codec{}).Detect([]byte(text)); n != 100 {
		t.Errorf("Detect says %d", n)
	}
}
