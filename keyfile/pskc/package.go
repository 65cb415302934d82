package pskc

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// pkg collects what one KeyPackage says. Paths are the names below KeyPackage, joined by slashes.
type pkg struct {
	line      int
	say       func(line int, text string)
	err       error
	names     names
	algorithm string
	suite     string
	encoding  string
	length    int64 // of a code; 0: not said
	data      map[string]*datum

	rec keyfile.Record
}

func (p *pkg) destroy() {
	p.rec.Destroy()
	for _, d := range p.data {
		d.destroy()
	}
}

// bad records the first problem.
func (p *pkg) bad(line int, field, cause string) {
	if p.err == nil {
		p.err = &keyfile.RowError{Format: Codec{}.Name(), Line: line, Field: field, Cause: cause}
	}
}

// attr is an attribute by one of its names, in any case.
func attr(attrs []xml.Attr, names ...string) string {
	for _, name := range names {
		for _, a := range attrs {
			if strings.EqualFold(a.Name.Local, name) {
				return strings.TrimSpace(a.Value)
			}
		}
	}
	return ""
}

// policies are the elements that this reader knows below Policy, and what it tells of them; RFC 6030 §5 forbids using a key
// with others.
var policies = map[string]string{
	"startdate":  "validity dates are not taken over",
	"expirydate": "validity dates are not taken over",
	"pinpolicy":  "PIN policies are not taken over: the codes are checked without a PIN",
	"keyusage":   "",
}

// open implements visitor.
func (p *pkg) open(path string, attrs []xml.Attr, line int) {
	switch path {
	case "key":
		if p.algorithm != "" || p.names.keyID != "" {
			p.bad(line, "key", "two keys in one package")
		}
		p.names.keyID, p.algorithm = attr(attrs, "Id", "KeyId"), attr(attrs, "Algorithm", "KeyAlgorithm")
	case "key/algorithmparameters/responseformat":
		p.encoding = attr(attrs, "Encoding", "Format")
		if s := attr(attrs, "Length"); s != "" {
			p.length = p.number(s, 1, 255, line, "length")
		}
		if c := attr(attrs, "CheckDigits", "CheckDigit"); c == "true" || c == "1" {
			p.bad(line, "check-digits", "codes with check digits are not supported")
		}
	case "key/algorithmparameters/suite":
		p.suite = attr(attrs, "hashalgo") // privacyIDEA's own export
	case "key/keyreference":
		p.bad(line, "key", "the file names the key and does not hold it")
	}
	if data, ok := strings.CutPrefix(path, "key/data/"); ok {
		p.openDatum(data, attrs)
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case name == "yubikeylock" && strings.Contains(path, "extensions/"):
		p.accessCode(attr(attrs, "Code"), line)
	case strings.HasPrefix(path, "key/policy/") && strings.Count(path, "/") == 2:
		text, known := policies[name]
		if !known {
			p.bad(line, "policy", "the key may not be used under a policy that this reader does not know")
		}
		if text != "" {
			p.say(line, text)
		}
	}
}

// close implements visitor. The text is the caller's and cleared afterwards.
func (p *pkg) close(path string, text []byte, line int) {
	if data, ok := strings.CutPrefix(path, "key/data/"); ok {
		p.closeDatum(data, text, line)
		return
	}
	switch path {
	case "deviceinfo/serialno":
		p.names.serialNo = p.text(text, line, "serial")
	case "deviceinfo/startdate":
		t, err := time.Parse(time.RFC3339, string(text))
		if err != nil {
			p.bad(line, "created", "not a time of the form YYYY-MM-DDThh:mm:ssZ")
		}
		p.rec.Created = keyfile.Seconds(t)
	case "deviceinfo/userid":
		p.owner(text, line)
	case "cryptomoduleinfo/id":
		p.names.module = string(text)
	case "key/issuer":
		p.rec.Issuer = p.text(text, line, "issuer")
	case "key/userid":
		p.keyUser(text, line)
	case "key/algorithmparameters/suite":
		if len(text) > 0 {
			p.suite = string(text)
		}
	case "key/policy/keyusage":
		if string(text) != "OTP" {
			p.bad(line, "policy", "the key is not for one-time passwords")
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

func (p *pkg) owner(text []byte, line int) {
	p.rec.Owner = p.text([]byte(account(string(text))), line, "owner")
}

func (p *pkg) number(s string, low, high int64, line int, field string) int64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) < low || int64(n) > high {
		p.bad(line, field, fmt.Sprintf("not a number from %d to %d", low, high))
		return 0
	}
	return int64(n)
}

// keyUser reads "CN=<public ID>, UID=<private ID>" of a Yubico OTP. Another key's user goes before the device's.
func (p *pkg) keyUser(text []byte, line int) {
	if !strings.EqualFold(p.algorithm, algYubiKey) {
		if len(text) > 0 {
			p.owner(text, line)
		}
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
func (p *pkg) record(v *vault) (keyfile.Record, error) {
	if err := p.finish(v); err != nil {
		return keyfile.Record{}, err
	}
	if p.err != nil {
		return keyfile.Record{}, p.err
	}
	rec := p.rec
	p.rec = keyfile.Record{}
	rec.Line = p.line
	return rec, nil
}

// profiles are the algorithms by the last word of their URI. The drafts have # where the RFC has a colon, and prefixes of
// their own. Source: reference key-files.md §6.1, §9.
var profiles = map[string]token.Kind{"hotp": token.HOTP, "totp": token.TOTP}

func (p *pkg) kind() (token.Kind, bool) {
	uri := strings.ToLower(p.algorithm)
	if uri == algYubiKey {
		return token.YubicoOTP, true
	}
	k, ok := profiles[uri[strings.LastIndexAny(uri, ":#")+1:]]
	return k, ok && (strings.HasPrefix(uri, namespace) || strings.HasPrefix(uri, "http://www.ietf.org/keyprov/pskc#"))
}

// finish sets what depends on the algorithm, opens what is encrypted and judges the whole. An error is about the file.
func (p *pkg) finish(v *vault) error {
	r := &p.rec
	kind, ok := p.kind()
	switch {
	case p.algorithm == "":
		p.bad(p.line, "algorithm", "none: a challenge-response key or a static password, which is not imported")
	case !ok:
		p.bad(p.line, "algorithm", "not hotp, totp or yubikey-aes")
	}
	if p.err != nil {
		return nil
	}
	r.Kind = kind
	for _, read := range dataOf[kind] {
		if err := read(p, v); err != nil {
			return err
		}
	}
	if kind != token.YubicoOTP {
		p.oath()
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
	return nil
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
