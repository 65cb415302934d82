package seedtable

import (
	"strings"
	"unicode"
)

// Role is what a column holds.
type Role string

// The roles. Unread columns are named in the Report and not read.
const (
	Unread  Role = ""
	Serial  Role = "serial"
	Seed    Role = "seed"
	Owner   Role = "owner"
	Issuer  Role = "issuer"
	Kind    Role = "type"
	Digits  Role = "digits"
	Hash    Role = "hash"
	Period  Role = "period"
	Counter Role = "counter"
	Factor  Role = "counter or period" // as the type of the row says
)

// words are the headers that vendors write, as normal leaves them. Source: reference key-files.md §8.9, §9.
func words() map[Role][]string {
	return map[Role][]string{
		Serial: {"serial", "serialnumber", "serialno", "serialnr", "sn", "tokenserial", "tokenserialnumber", "tokenid", "tokenidentifier",
			"deviceserial", "deviceserialnumber", "token", "device", "seriennummer"},
		Seed:    {"seed", "secret", "secretkey", "key", "tokenseed", "seedvalue", "tokenkey", "sharedsecret", "otpkey", "tokensecret"},
		Owner:   {"upn", "user", "username", "userprincipalname", "owner", "login", "account", "accountname", "assignedto"},
		Issuer:  {"issuer"},
		Kind:    {"type", "tokentype", "otptype", "oathtype", "mode"},
		Digits:  {"digits", "otplength", "otplen", "length", "codelength"},
		Hash:    {"algorithm", "algo", "hash", "hashalgorithm", "hmac", "hmacalgorithm", "crypto"},
		Period:  {"timeinterval", "interval", "period", "timestep", "step", "timewindow", "timeperiod"},
		Counter: {"counter", "movingfactor", "eventcounter", "startcounter"},
	}
}

// normal is a header in lower case with letters and digits only.
func normal(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return unicode.ToLower(c)
		}
		return -1
	}, s)
}

// declared cuts the name of an encoding off a normal header: "secretkeyhex" is "secretkey" in hexadecimal.
func declared(word string) (rest string, e Encoding) {
	for _, d := range []struct {
		word     string
		encoding Encoding
	}{{"hexadecimal", Hex}, {"hex", Hex}, {"base32", Base32}, {"base64", Base64}, {"decimal", Decimal}, {"ascii", ASCII}} {
		for _, cut := range []func(s, affix string) (string, bool){strings.CutSuffix, strings.CutPrefix} {
			if rest, ok := cut(word, d.word); ok && rest != "" {
				return rest, d.encoding
			}
		}
	}
	return word, ""
}

// roleOf is what a header says about its column, and about the encoding of a seed.
func roleOf(header string) (Role, Encoding) {
	word, encoding := declared(normal(header))
	for role, list := range words() {
		for _, w := range list {
			if w != word {
				continue
			}
			if role != Seed {
				encoding = ""
			}
			return role, encoding
		}
	}
	return Unread, ""
}
