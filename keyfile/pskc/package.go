package pskc

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// pkg collects what one KeyPackage says. Paths are the local names below KeyPackage, joined by slashes.
type pkg struct {
	line      int
	err       error
	names     names
	algorithm string
	suite     string
	encoding  string
	length    int64 // of a code; 0: not said

	rec keyfile.Record
}

func (p *pkg) destroy() { p.rec.Destroy() }

// bad records the first problem.
func (p *pkg) bad(line int, field, cause string) {
	if p.err == nil {
		p.err = &keyfile.RowError{Format: Codec{}.Name(), Line: line, Field: field, Cause: cause}
	}
}

func attr(attrs []xml.Attr, name string) string {
	for _, a := range attrs {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// policies are the elements that this reader knows below Policy; RFC 6030 §5 forbids using a key with others.
var policies = map[string]bool{"StartDate": true, "ExpiryDate": true, "PINPolicy": true, "KeyUsage": true}

// open takes what an element's start says.
func (p *pkg) open(path string, attrs []xml.Attr, line int) {
	switch path {
	case "Key":
		if p.algorithm != "" || p.names.keyID != "" {
			p.bad(line, "key", "two keys in one package")
		}
		p.names.keyID, p.algorithm = attr(attrs, "Id"), attr(attrs, "Algorithm")
	case "Key/AlgorithmParameters/ResponseFormat":
		p.encoding = attr(attrs, "Encoding")
		if s := attr(attrs, "Length"); s != "" {
			p.length = p.number(s, 1, 255, line, "length")
		}
		if c := attr(attrs, "CheckDigits"); c == "true" || c == "1" {
			p.bad(line, "check-digits", "codes with check digits are not supported")
		}
	case "Key/AlgorithmParameters/Suite":
		p.suite = attr(attrs, "hashalgo") // privacyIDEA's own export
	case "Key/KeyReference":
		p.bad(line, "key", "the file names the key and does not hold it")
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case name == "EncryptedValue":
		p.bad(line, "key", ErrEncrypted.Error())
	case name == "YubiKeyLock" && strings.Contains(path, "Extensions/"):
		p.accessCode(attr(attrs, "Code"), line)
	case strings.HasPrefix(path, "Key/Policy/") && strings.Count(path, "/") == 2 && !policies[name]:
		p.bad(line, "policy", "the key may not be used under a policy that this reader does not know")
	}
}

// close takes the text of an element. The text is the caller's and cleared afterwards.
func (p *pkg) close(path string, text []byte, line int) {
	text = bytes.TrimSpace(text)
	switch path {
	case "DeviceInfo/SerialNo":
		p.names.serialNo = p.text(text, line, "serial")
	case "DeviceInfo/StartDate":
		t, err := time.Parse(time.RFC3339, string(text))
		if err != nil {
			p.bad(line, "created", "not a time of the form YYYY-MM-DDThh:mm:ssZ")
		}
		p.rec.Created = keyfile.Seconds(t)
	case "DeviceInfo/UserId":
		p.rec.Owner = p.text([]byte(account(string(text))), line, "owner")
	case "CryptoModuleInfo/Id":
		p.names.module = string(text)
	case "Key/UserId":
		p.keyUser(text, line)
	case "Key/AlgorithmParameters/Suite":
		if len(text) > 0 {
			p.suite = string(text)
		}
	case "Key/Policy/KeyUsage":
		if string(text) != "OTP" {
			p.bad(line, "policy", "the key is not for one-time passwords")
		}
	case "Key/Data/Secret/PlainValue":
		p.secret(text, line)
	case "Key/Data/Counter/PlainValue":
		p.rec.Counter = p.number(string(text), 0, 1<<62, line, "counter")
	case "Key/Data/TimeInterval/PlainValue":
		p.rec.Period = time.Duration(p.number(string(text), 1, 86400, line, "period")) * time.Second
	case "Key/Data/TimeDrift/PlainValue":
		if string(text) != "0" {
			p.bad(line, "drift", "a clock that is off is not supported: synchronize the token")
		}
	}
}

// text is a name in the file.
func (p *pkg) text(b []byte, line int, field string) string {
	s := string(b)
	if cause := keyfile.BadText(s); cause != "" {
		p.bad(line, field, "not a name: "+cause)
		return ""
	}
	return s
}

func (p *pkg) number(s string, low, high int64, line int, field string) int64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) < low || int64(n) > high {
		p.bad(line, field, fmt.Sprintf("not a number from %d to %d", low, high))
		return 0
	}
	return int64(n)
}

// secret reads base64, in which blanks may stand.
func (p *pkg) secret(text []byte, line int) {
	if p.rec.Key.Len() > 0 {
		p.bad(line, "key", "two secrets in one key")
		return
	}
	packed := make([]byte, 0, len(text))
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			packed = append(packed, c)
		}
	}
	defer clear(packed)
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(packed)))
	n, err := base64.StdEncoding.Strict().Decode(raw, packed)
	if err != nil {
		clear(raw)
		p.bad(line, "key", "not base64")
		return
	}
	p.rec.Key = secret.New(raw[:n])
}

// keyUser reads "CN=<public ID>, UID=<private ID>" of a Yubico OTP; other keys' users are not read.
func (p *pkg) keyUser(text []byte, line int) {
	if !strings.EqualFold(p.algorithm, algYubiKey) {
		return
	}
	for part := range bytes.SplitSeq(text, []byte(",")) {
		key, value, _ := bytes.Cut(bytes.TrimSpace(part), []byte("="))
		switch strings.ToUpper(string(key)) {
		case "CN":
			id, err := token.ParsePublicID(string(value))
			if err != nil {
				p.bad(line, "public-id", err.Error())
			}
			p.rec.PublicID = id
		case "UID":
			if len(value) == 0 || p.rec.PrivateID.Len() > 0 {
				continue
			}
			id, err := secret.FromHex(string(value), keyfile.PrivateIDSize)
			if err != nil {
				p.bad(line, "private-id", err.Error())
			}
			p.rec.PrivateID = id
		}
	}
}

// accessCode reads the extension's new access code; zeros mean none.
func (p *pkg) accessCode(s string, line int) {
	if s == "" || p.rec.AccessCode.Len() > 0 {
		return
	}
	code, err := secret.FromHex(s, keyfile.AccessCodeSize)
	if err != nil {
		p.bad(line, "access-code", err.Error())
		return
	}
	if code.IsZero() {
		code.Destroy()
		return
	}
	p.rec.AccessCode = code
}

// record is the whole package as a record, which the caller owns from then on, or what was wrong with it.
func (p *pkg) record() (keyfile.Record, error) {
	p.finish()
	if p.err != nil {
		return keyfile.Record{}, p.err
	}
	rec := p.rec
	p.rec = keyfile.Record{}
	rec.Line = p.line
	return rec, nil
}

// finish sets what depends on the algorithm and judges the whole.
func (p *pkg) finish() {
	r := &p.rec
	switch strings.ToLower(p.algorithm) {
	case algYubiKey:
		r.Kind = token.YubicoOTP
		r.Digits, r.Period, r.Hash, r.Counter = 0, 0, "", 0
	case algHOTP, "http://www.ietf.org/keyprov/pskc#hotp":
		r.Kind, r.Period = token.HOTP, 0
		p.oath()
	case algTOTP, "http://www.ietf.org/keyprov/pskc#totp":
		r.Kind, r.Counter = token.TOTP, 0
		if r.Period == 0 {
			r.Period = 30 * time.Second
		}
		p.oath()
	case "":
		p.bad(p.line, "algorithm", "none: a challenge-response key or a static password, which is not imported")
	default:
		p.bad(p.line, "algorithm", "not hotp, totp or yubikey-aes")
	}
	p.names.kind = r.Kind
	p.names.keyID = p.text([]byte(p.names.keyID), p.line, "id")
	p.names.put(r)
	if p.err == nil && r.Serial == 0 && r.Label == "" {
		p.bad(p.line, "id", "the key has neither Id nor serial number")
	}
	for _, l := range keyfile.Unsound(*r, token.YubicoOTP, token.HOTP, token.TOTP) {
		p.bad(p.line, l.Field, l.Note)
	}
}

// hashes are the texts of Suite that servers read, by the name they stand for.
var hashes = map[string]string{"": "sha1", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512",
	"hmac-sha1": "sha1", "hmac-sha256": "sha256", "hmac-sha512": "sha512", "sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}

// oath sets hash and digits. The Personalization Tool counts the token identifier, which it writes as the Key Id, into Length.
func (p *pkg) oath() {
	hash, ok := hashes[strings.ToLower(p.suite)]
	if !ok {
		p.bad(p.line, "hash", "not sha1, sha256 or sha512")
	}
	p.rec.Hash = hash
	if p.encoding != "" && p.encoding != "DECIMAL" {
		p.bad(p.line, "encoding", "codes that are no decimal numbers are not supported")
	}
	switch id := int64(len(p.names.keyID)); {
	case p.length == 0:
		p.length = 6
	case p.rec.Kind == token.HOTP && p.length > 8 && p.length-id >= 6 && p.length-id <= 8:
		p.length -= id
	}
	p.rec.Digits = int(p.length)
}
