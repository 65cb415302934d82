// Package pskc is the Portable Symmetric Key Container of RFC 6030: XML, a KeyPackage a credential, with the algorithms hotp and
// totp and, for Yubico OTPs, yubikey-aes. The elements stand in the order of the schema.
//
//	Yubico OTP, HOTP of a slot   Key Id <serial>:<slot>, SerialNo <serial>, CryptoModuleInfo Id <slot>
//	other HOTP, TOTP             Key Id and SerialNo are the label
//	public and private ID        Key/UserId "CN=<ModHex>, UID=<hexadecimal>"
//	owner                        DeviceInfo/UserId "CN=<account>"
//	issuer                       Key/Issuer
//	hash                         Suite, lower case: the one spelling that privacyIDEA, LinOTP and FreeIPA all read
//
// It writes plain or as Protection says. It reads every symmetric encryption of the RFC (AES in CBC mode or as a key wrap,
// Triple DES, PBKDF2 with any SHA) and takes no value whose MAC is missing or wrong.
//
// Source: RFC 6030; reference key-files.md §6, §0.
package pskc

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready and writes plain files.
type Codec struct {
	Protect Protection // of written files; it opens those too
	// Note, if any, is told what a file has that is not taken over and stops nothing: a signature, a PIN policy, validity
	// dates. Each text comes once a file.
	Note func(line int, text string)

	ask keyfile.Ask
}

var (
	_ keyfile.Codec    = Codec{}
	_ keyfile.Unlocker = Codec{}
)

const (
	namespace = "urn:ietf:params:xml:ns:keyprov:pskc"

	algYubiKey   = "http://www.yubico.com/#yubikey-aes"
	algHOTP      = namespace + ":hotp"
	algTOTP      = namespace + ":totp"
	methodPBKDF2 = "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2"

	manufacturer = "oath.UB" // Yubico's prefix at OATH. Source: reference key-files.md §6.4

	head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<pskc:KeyContainer Version="1.0" xmlns:pskc="` + namespace + `">` + "\n"
	lockedHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<pskc:KeyContainer Version="1.0" xmlns:pskc="` + namespace + `"` + "\n" +
		` xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"` + "\n" +
		` xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" xmlns:pkcs5="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#">` + "\n"
	foot = "</pskc:KeyContainer>\n"

	dateLayout = "2006-01-02T15:04:05Z" // the one form that libpskc reads
)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "pskc" }

// Unlock implements keyfile.Unlocker. Decode asks once, for a pre-shared key or a passphrase, when it comes to the first value
// that is encrypted.
func (c Codec) Unlock(ask keyfile.Ask) keyfile.Reader {
	c.ask = ask
	return c
}

// opener is whom a reader asks; nil for nobody.
func (c Codec) opener() keyfile.Ask {
	if c.ask == nil && c.Protect.used() {
		return c.Protect.answer
	}
	return c.ask
}

// NewEncoder implements keyfile.Codec. Encode fails if Protect cannot be used; Close fails if no record was encoded: the schema
// wants one.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	e := &encoder{protect: c.Protect}
	e.RowEncoder = keyfile.RowEncoder{Codec: c, W: w, Head: head, Foot: foot, Append: e.appendPackage}
	return e
}

// ErrEmpty is a container that would hold no key.
var ErrEmpty = errors.New("pskc: a container needs at least one key")

type encoder struct {
	keyfile.RowEncoder
	protect Protection
	seal    *sealer // nil: plain, or not begun
}

// Encode implements keyfile.Encoder.
func (e *encoder) Encode(rec keyfile.Record) error {
	if !e.protect.used() {
		return e.RowEncoder.Encode(rec)
	}
	if e.seal == nil {
		s, how, err := e.protect.seal()
		if err != nil {
			return err
		}
		e.seal, e.Head = s, lockedHead+how
	}
	if err := e.seal.draw(); err != nil {
		return err
	}
	return e.RowEncoder.Encode(rec)
}

// Close implements keyfile.Encoder.
func (e *encoder) Close() error {
	if e.seal != nil {
		e.seal.macKey.Destroy()
	}
	if !e.Begun() {
		return ErrEmpty
	}
	return e.RowEncoder.Close()
}

func (e *encoder) appendPackage(dst []byte, rec keyfile.Record) []byte {
	n := namesOf(rec)
	b := bytes.NewBuffer(dst)
	b.WriteString(" <pskc:KeyPackage>\n  <pskc:DeviceInfo>\n")
	if rec.Kind == token.YubicoOTP || rec.Serial != 0 {
		element(b, "   ", "Manufacturer", manufacturer)
	}
	element(b, "   ", "SerialNo", n.serialNo)
	if t := keyfile.Seconds(rec.Created); !t.IsZero() {
		element(b, "   ", "StartDate", t.Format(dateLayout))
	}
	if rec.Owner != "" {
		element(b, "   ", "UserId", "CN="+escapeDN(rec.Owner))
	}
	b.WriteString("  </pskc:DeviceInfo>\n")
	if n.module != "" {
		b.WriteString("  <pskc:CryptoModuleInfo><pskc:Id>" + n.module + "</pskc:Id></pskc:CryptoModuleInfo>\n")
	}
	b.WriteString(`  <pskc:Key Id="` + escapeXML(n.keyID) + `" Algorithm="` + algorithms[rec.Kind] + "\">\n")
	if rec.Issuer != "" {
		element(b, "   ", "Issuer", rec.Issuer)
	}
	b.WriteString("   <pskc:AlgorithmParameters>")
	if rec.Kind == token.YubicoOTP {
		b.WriteString(`<pskc:ResponseFormat Encoding="ALPHANUMERIC" Length="` + strconv.Itoa(32+2*rec.PublicID.Len()))
	} else {
		b.WriteString("<pskc:Suite>" + rec.Hash + `</pskc:Suite><pskc:ResponseFormat Encoding="DECIMAL" Length="` + strconv.Itoa(rec.Digits))
	}
	b.WriteString("\"/></pskc:AlgorithmParameters>\n")
	e.appendData(b, rec)
	b.WriteString("  </pskc:Key>\n </pskc:KeyPackage>\n")
	return b.Bytes()
}

// algorithms are the values of Key/@Algorithm.
var algorithms = map[token.Kind]string{token.YubicoOTP: algYubiKey, token.HOTP: algHOTP, token.TOTP: algTOTP}

// appendData writes the secrets.
func (e *encoder) appendData(b *bytes.Buffer, rec keyfile.Record) {
	b.WriteString("   <pskc:Data>\n    <pskc:Secret>")
	if e.seal != nil {
		e.seal.appendSecret(b, rec.Key.Reveal())
	} else {
		b.WriteString("<pskc:PlainValue>")
		b.Write(base64.StdEncoding.AppendEncode(b.AvailableBuffer(), rec.Key.Reveal()))
		b.WriteString("</pskc:PlainValue>")
	}
	b.WriteString("</pskc:Secret>\n")
	switch rec.Kind {
	case token.HOTP:
		plain(b, "Counter", rec.Counter)
	case token.TOTP:
		plain(b, "Time", 0)
		plain(b, "TimeInterval", int64(rec.Period/time.Second))
	}
	b.WriteString("   </pskc:Data>\n")
	if rec.Kind == token.YubicoOTP {
		b.WriteString("   <pskc:UserId>CN=" + rec.PublicID.String() + ", UID=")
		b.Write(hex.AppendEncode(b.AvailableBuffer(), rec.PrivateID.Reveal()))
		b.WriteString("</pskc:UserId>\n")
	}
}

func plain(b *bytes.Buffer, name string, n int64) {
	b.WriteString("    <pskc:" + name + "><pskc:PlainValue>" + strconv.FormatInt(n, 10) + "</pskc:PlainValue></pskc:" + name + ">\n")
}

func element(b *bytes.Buffer, indent, name, text string) {
	b.WriteString(indent + "<pskc:" + name + ">" + escapeXML(text) + "</pskc:" + name + ">\n")
}

// escapeXML makes public text fit for content and for a quoted attribute.
func escapeXML(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer does not fail
	return b.String()
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := keyfile.Record{Kind: rec.Kind, Key: rec.Key, Issuer: rec.Issuer, Owner: rec.Owner, Created: keyfile.Seconds(rec.Created)}
	namesOf(rec).put(&out)
	switch rec.Kind {
	case token.YubicoOTP:
		out.PublicID, out.PrivateID = rec.PublicID, rec.PrivateID
	case token.HOTP:
		out.Digits, out.Hash, out.Counter = rec.Digits, rec.Hash, rec.Counter
	case token.TOTP:
		out.Digits, out.Hash, out.Period = rec.Digits, rec.Hash, rec.Period
	}
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"label":       "the file names the token by its serial, or by its public ID when the serial is unknown",
	"access-code": "left out on purpose: who has it can reprogram the key",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.YubicoOTP, token.HOTP, token.TOTP)
	n, carried := namesOf(rec), c.Carried(rec)
	switch {
	case n.keyID == "":
		out = append(out, keyfile.Fatal("serial", "unknown, and the token has no label either: every key needs an Id"))
	case rec.Serial == 0 && carried.Serial != 0:
		out = append(out, keyfile.Fatal("label", "it reads like the serial and slot of a YubiKey"))
	case rec.Kind == token.YubicoOTP && rec.Serial == 0:
		out = append(out, keyfile.Loss{Field: "serial", Note: "unknown: privacyIDEA takes a key only as <serial>:<slot>"})
	case n.module == "" && n.slots:
		out = append(out, keyfile.Loss{Field: "slot", Note: "unknown and written as 0: another credential of the same key would overwrite it"})
	}
	if cause := keyfile.BadText(n.serialNo); cause != "" {
		out = append(out, keyfile.Fatal("label", "cannot stand in the file: "+cause))
	}
	if cause := keyfile.BadText(rec.Owner); cause != "" {
		out = append(out, keyfile.Fatal("owner", "cannot stand in the file: "+cause))
	}
	if cause := keyfile.BadText(rec.Issuer); cause != "" {
		out = append(out, keyfile.Fatal("issuer", "cannot stand in the file: "+cause))
	}
	if rec.Kind == token.YubicoOTP && c.Protect.used() && rec.PrivateID.Len() > 0 {
		out = append(out, keyfile.Loss{Field: "private-id", Note: "stands in the file in clear: the format encrypts the key only"})
	}
	if rec.Owner != "" {
		out = append(out, keyfile.Loss{Field: "owner", Note: "in the file, but servers ignore it: assign the tokens after the import"})
	}
	return append(out, keyfile.Notes(rec, carried, notes)...)
}

// Detect implements keyfile.Codec.
func (Codec) Detect(head []byte) int {
	head = bytes.ToLower(bytes.TrimSpace(keyfile.TrimBOM(head)))
	switch {
	case !bytes.HasPrefix(head, []byte("<")) || !bytes.Contains(head, []byte("keycontainer")):
		return 0
	case bytes.Contains(head, []byte(namespace)):
		return 100
	}
	return 60
}
