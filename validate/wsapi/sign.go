package wsapi

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Sign is the h of a message: its parameters but h, decoded, sorted by name, joined as name=value with &, HMAC-SHA-1, base64
// with padding: 28 characters. The key may be empty. Source: reference validation-protocol.md §4.
func Sign(key secret.Bytes, params map[string]string) string {
	names := make([]string, 0, 16)
	for name := range params {
		if name != "h" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	text := make([]byte, 0, 256)
	for i, name := range names {
		if i > 0 {
			text = append(text, '&')
		}
		text = append(append(append(text, name...), '='), params[name]...)
	}
	m := hmac.New(sha1.New, key.Reveal())
	m.Write(text)
	return base64.StdEncoding.EncodeToString(m.Sum(text[:0]))
}

// signed reports whether h is the signature of params, in constant time. Spaces count as +: that is what a + becomes when
// the sender did not escape it, and no two signatures can be confused by it.
func signed(key secret.Bytes, params map[string]string, h string) bool {
	h = strings.ReplaceAll(h, " ", "+")
	return hmac.Equal([]byte(h), []byte(Sign(key, params)))
}
