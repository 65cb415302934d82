// Package keycloak is Keycloak's user JSON with OTP credentials. By default it is the body of a partial import:
//
//	{"ifResourceExists":"FAIL","users":[
//	{"username":"carol","enabled":true,"credentials":[
//	{"type":"otp","userLabel":"TOTP00900003","secretData":"{\"value\":\"CJHX…\"}","credentialData":"{\"subType\":\"totp\",…}"}]}
//	]}
//
// With Bodies it is one body a line for PUT admin/realms/<realm>/users/<id>, which adds the credentials to persons who exist.
//
// secretData and credentialData are texts that hold JSON. secretEncoding is always BASE32: without it Keycloak takes the
// *characters* of the secret for the key and every hardware token fails. Keycloak has no Yubico OTPs.
// Source: reference key-files.md §8.3, §0 fact 5.
package keycloak

import (
	"bytes"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/jsonline"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format.
type Codec struct {
	// Bodies writes request bodies for persons who exist instead of a partial import of new ones.
	Bodies bool
	// IfExists is what the partial import does about a person who exists: FAIL (also when empty), SKIP, which leaves the
	// token out, or OVERWRITE, which deletes the person with all other credentials and sessions and makes a new one.
	IfExists string
}

var _ keyfile.Codec = Codec{}

// The answers to a person who exists.
const (
	Fail      = "FAIL"
	Skip      = "SKIP"
	Overwrite = "OVERWRITE"
)

func (c Codec) ifExists() string {
	if c.IfExists == "" {
		return Fail
	}
	return c.IfExists
}

// credential is a CredentialRepresentation.
type credential struct {
	Type           string `json:"type"`
	UserLabel      string `json:"userLabel,omitempty"`
	CreatedDate    int64  `json:"createdDate,omitempty"` // milliseconds since 1970
	SecretData     string `json:"secretData"`
	CredentialData string `json:"credentialData"`
}

const typeOTP = "otp"

type secretData struct {
	Value string `json:"value"`
}

type credentialData struct {
	SubType        string `json:"subType"`
	Digits         int    `json:"digits"`
	Counter        int64  `json:"counter"`
	Period         int64  `json:"period"` // seconds
	Algorithm      string `json:"algorithm"`
	SecretEncoding string `json:"secretEncoding,omitempty"`
}

const encodingBase32 = "BASE32"

// Limits: Keycloak's numbers are Java's int; the longest time step is ours, a day, in seconds.
const (
	maxCounter = math.MaxInt32
)

// algorithm is Keycloak's name of a hash.
func algorithm(hash string) string { return "Hmac" + strings.ToUpper(hash) }

// Name implements keyfile.Codec.
func (Codec) Name() string { return "keycloak" }

// createdAt is the time that the file carries: whole seconds, any but 1970 itself, which would be no time.
func createdAt(t time.Time) time.Time {
	if t = keyfile.Seconds(t); t.UnixMilli() == 0 {
		return time.Time{}
	}
	return t
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Owner, out.Created = rec.Owner, createdAt(rec.Created)
	tokenname.Set(&out, tokenname.Of(rec))
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"serial": "the file has one label for a credential; a reader takes it for a label",
	"label":  "the credential is labelled with the token's serial",
	"issuer": "Keycloak shows the realm's name",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind != token.HOTP && rec.Kind != token.TOTP {
		return []keyfile.Loss{keyfile.Fatal("kind", "Keycloak knows HOTP and TOTP only: program OATH on the key, or register it there with WebAuthn")}
	}
	out := keyfile.Unsound(rec, token.HOTP, token.TOTP)
	if rec.Key.Len() < keyfile.MinSeedSize {
		out = append(out, keyfile.Fatal("key", "shorter than readers take"))
	}
	if rec.Counter > maxCounter {
		out = append(out, keyfile.Fatal("counter", "larger than Keycloak can count"))
	}
	if rec.Period > keyfile.MaxPeriod {
		out = append(out, keyfile.Fatal("period", "longer than a day"))
	}
	if cause := badText(tokenname.Of(rec)); cause != "" {
		out = append(out, keyfile.Fatal("label", "cannot stand in the file: "+cause))
	}
	if cause := badText(rec.Owner); cause != "" {
		out = append(out, keyfile.Fatal("owner", "cannot stand in the file: "+cause))
	} else if rec.Owner == "" {
		out = append(out, keyfile.Fatal("owner", "nobody has the token, and a credential is a person's: issue it first"))
	}
	switch exists := c.ifExists(); {
	case c.Bodies:
	case !slices.Contains([]string{Fail, Skip, Overwrite}, exists):
		out = append(out, keyfile.Fatal("if-exists", "FAIL, SKIP and OVERWRITE are possible"))
	case exists == Overwrite:
		out = append(out, keyfile.Loss{Field: "owner", Note: "OVERWRITE deletes a person who exists, with all other credentials, and makes a new one"})
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// badText adds to keyfile.BadText the sign that JSON readers put in place of what they cannot read.
func badText(s string) string {
	if strings.ContainsRune(s, utf8.RuneError) {
		return "it is not UTF-8"
	}
	return keyfile.BadText(s)
}

// encoder writes the credentials of one person after the other.
type encoder struct {
	keyfile.RowEncoder
	codec  Codec
	owner  string              // whose list is open
	labels map[string]struct{} // in that list
	key    maphash.Seed
	seen   map[uint64]struct{} // hashes of the persons so far: 64 bits, so that two fall together in one of 10^7 files of a million
}

// NewEncoder implements keyfile.Codec. Credentials of one person must follow one another, with different labels: Keycloak
// takes a person once and a label once a person. It remembers 64 bits a person.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	e := &encoder{codec: c, key: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
	e.RowEncoder = keyfile.RowEncoder{Codec: c, W: w, Append: e.append}
	if !c.Bodies {
		e.Head, e.Foot = `{"ifResourceExists":"`+c.ifExists()+`","users":[`+"\n", "]}\n"
	}
	return e
}

// Encode implements keyfile.Encoder.
func (e *encoder) Encode(rec keyfile.Record) error {
	name, id := tokenname.Of(rec), maphash.String(e.key, rec.Owner)
	_, known := e.seen[id]
	if known && rec.Owner != e.owner {
		return keyfile.Refused(e.codec.Name(), rec, []keyfile.Loss{keyfile.Fatal("owner",
			"another person's tokens stand between this one and the person's others: export them sorted by person")})
	}
	if _, ok := e.labels[name]; known && ok {
		return keyfile.Refused(e.codec.Name(), rec, []keyfile.Loss{keyfile.Fatal("label", "a second token of the person with this label, which Keycloak refuses")})
	}
	if err := e.RowEncoder.Encode(rec); err != nil {
		return err
	}
	if !known {
		e.seen[id], e.owner, e.labels = struct{}{}, rec.Owner, map[string]struct{}{}
	}
	e.labels[name] = struct{}{}
	return nil
}

// append writes a credential, and before it, for another person than the last, the end of the list and a new one.
func (e *encoder) append(dst []byte, rec keyfile.Record) []byte {
	first, between, enabled := "", ",\n", `,"enabled":true`
	if e.codec.Bodies {
		between, enabled = "\n", ""
	}
	if e.labels != nil {
		first = "]}" + between
	}
	if e.labels != nil && rec.Owner == e.owner {
		dst = append(dst, ',')
	} else {
		dst = append(dst, first+`{"username":`...)
		dst = appendJSON(dst, rec.Owner)
		dst = append(dst, enabled+`,"credentials":[`...)
	}
	if e.Foot = "]}\n"; !e.codec.Bodies {
		e.Foot = "]}\n]}\n"
	}
	return appendCredential(dst, rec)
}

func appendCredential(dst []byte, rec keyfile.Record) []byte {
	data := credentialData{SubType: string(rec.Kind), Digits: rec.Digits, Counter: rec.Counter, Period: int64(rec.Period / time.Second),
		Algorithm: algorithm(rec.Hash), SecretEncoding: encodingBase32}
	if rec.Kind == token.HOTP {
		data.Period = 30 // Keycloak's default, which HOTP does not use
	} else {
		data.Counter = 0
	}
	secret := appendJSON(nil, secretData{string(keyfile.AppendBase32(nil, rec.Key.Reveal()))})
	defer clear(secret)
	c := credential{Type: typeOTP, UserLabel: tokenname.Of(rec), SecretData: string(secret), CredentialData: string(appendJSON(nil, data))}
	if t := createdAt(rec.Created); !t.IsZero() {
		c.CreatedDate = t.UnixMilli()
	}
	return appendJSON(dst, c)
}

func appendJSON(dst []byte, v any) []byte {
	return bytes.TrimSuffix(jsonline.Append(dst, v), []byte("\n"))
}

// Detect implements keyfile.Codec: by the keys at the beginning of an object.
func (Codec) Detect(head []byte) int {
	head = bytes.TrimSpace(keyfile.TrimBOM(head))
	has := func(key string) bool { return bytes.Contains(head, []byte(`"`+key+`"`)) }
	switch {
	case !bytes.HasPrefix(head, []byte("{")):
		return 0
	case has("ifResourceExists"), has("secretData") && has("credentialData"):
		return 90
	case has("realm") && has("notBefore"), has("username") && has("credentials"):
		return 60 // a realm's export, or a person
	}
	return 0
}
