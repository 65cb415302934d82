package otpauth

import (
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// others are kinds of codes that apps know and no server here checks: the words of files, and what they are called.
// Source: reference key-files.md §1 ("not"), §8.7.
var others = map[string]string{
	"steam": "Steam Guard", "motp": "mOTP", "yandex": "Yandex", "yaotp": "Yandex", "ocra": "OCRA", "static": "a static password",
	"blizzard": "Battle.net", "battlenet": "Battle.net",
}

// Kind reads a file's word for the kind of code, in any case. cause is empty for a kind that is imported; otherwise it names
// the kind, if it is a known one, and never repeats the word.
func Kind(word string) (kind token.Kind, cause string) {
	switch word = strings.ToLower(word); word {
	case "totp":
		return token.TOTP, ""
	case "hotp":
		return token.HOTP, ""
	}
	if name, ok := others[word]; ok {
		return "", name + ": this kind of code is not imported"
	}
	return "", "neither totp nor hotp"
}

// hashes are the words that apps use, without "hmac" and hyphens. Empty values are known and not supported.
var hashes = map[string]string{"": "sha1", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512", "md5": "", "sha224": "", "sha384": ""}

// Hash reads a file's word for the hash: SHA1, sha-256, HmacSHA512; nothing is sha1. cause is empty for a hash that codes can
// be checked with.
func Hash(word string) (hash, cause string) {
	word = strings.TrimPrefix(strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(word), "-", ""), "_", ""), "hmac")
	hash, known := hashes[word]
	switch {
	case hash != "":
		return hash, ""
	case known:
		return "", word + " is not supported: sha1, sha256 and sha512 are"
	}
	return "", "not sha1, sha256 or sha512"
}

// BadName says which name of rec, as Carried, cannot stand in any file, and why; "" when both can.
func BadName(rec keyfile.Record) (field, cause string) {
	for _, f := range []struct{ field, text string }{{"issuer", rec.Issuer}, {"owner", rec.Owner}} {
		if cause := keyfile.BadText(f.text); cause != "" {
			return f.field, "not a name: " + cause
		}
	}
	return "", ""
}

// SplitLabel cuts a label, "Issuer:account" or an account alone. An issuer given apart wins over the label's. A label with
// more than one colon that does not begin with the issuer is an account. Blanks around the parts mean nothing. Source:
// reference key-files.md §8.5 (yubikit, Aegis).
func SplitLabel(label, issuer string) (string, string) {
	label, issuer = strings.TrimSpace(label), strings.TrimSpace(issuer)
	if rest, ok := strings.CutPrefix(label, issuer+":"); ok && issuer != "" {
		return issuer, strings.TrimSpace(rest)
	}
	prefix, account, ok := strings.Cut(label, ":")
	if !ok || strings.Contains(account, ":") {
		return issuer, label
	}
	if issuer == "" {
		issuer = strings.TrimSpace(prefix)
	}
	return issuer, strings.TrimSpace(account)
}
