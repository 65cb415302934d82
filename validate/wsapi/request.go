package wsapi

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// The limits of a request, in characters. Source: reference validation-protocol.md §2 and §16.
const (
	maxText  = 4 << 10  // of all parameters, escaped
	maxRead  = 16 << 10 // beyond it nothing is parsed; up to it the client is found, so that the refusal is signed
	maxTyped = 64       // of an OTP with the white space around it
	minOTP   = 32
	maxOTP   = 48
	minNonce = 16
	maxNonce = 40
	maxID    = 10 // digits
)

// version is the major version of the protocol. Source: reference validation-protocol.md §8.
type version int

const (
	v1 version = 1 // 1.0 and 1.1, which are the same
	v2 version = 2
)

// request is one request after parsing.
type request struct {
	version  version
	params   map[string]string // decoded; of a name that came twice, nothing
	broken   bool              // an escape, a name or the size is wrong
	otp      string            // trimmed, otherwise as received
	readings []validate.Reading
}

// paramText is where the parameters are: the query, or the body of a posted form if the query is empty, never both.
func paramText(r *http.Request) (text string, ok bool) {
	if r.URL.RawQuery != "" || r.Method != http.MethodPost {
		return r.URL.RawQuery, true
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return "", true
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRead+1))
	return string(body), err == nil
}

// parse never fails: what is wrong makes the request broken. layouts is validate.Verifier's Layouts.
func parse(v version, text string, layouts bool) request {
	q := request{version: v, params: make(map[string]string), broken: len(text) > maxText}
	if len(text) > maxRead {
		return q
	}
	values, err := url.ParseQuery(text)
	bad := err != nil
	for name, all := range values {
		bad = bad || len(all) != 1 || strings.ContainsAny(name, "[]") || !ascii(name) || !anyBytes(name) && !ascii(all[0])
		if len(all) == 1 {
			q.params[name] = all[0]
		}
	}
	typed := q.params["otp"]
	q.broken = bad || q.broken && len(typed) <= maxTyped // a long OTP is BAD_OTP, whatever it does to the size
	q.otp = strings.Trim(typed, validate.Space)
	q.readings = readings(typed, q.otp, layouts)
	return q
}

// readings bounds what is read as an OTP. By other layouts it has more bytes and may hold what modhex.Clean drops, but no control
// characters: it is echoed in lines.
func readings(typed, otp string, layouts bool) []validate.Reading {
	if len(typed) <= maxTyped && len(otp) >= minOTP && len(otp) <= maxOTP {
		if all := validate.Readings(otp); len(all) > 0 {
			return all
		}
	}
	if !layouts || len(typed) > maxTyped*utf8.UTFMax || strings.ContainsFunc(otp, unicode.IsControl) {
		return nil
	}
	return slices.DeleteFunc(validate.LayoutReadings(otp), func(r validate.Reading) bool { return r.PublicID.Len() > token.ServerPublicID })
}

// anyBytes names the parameters whose form is checked before anything is signed.
func anyBytes(name string) bool { return name == "otp" || name == "nonce" || name == "h" }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] > 0x7F {
			return false
		}
	}
	return true
}

// fault is the status that the form of the parameters earns, in yubikey-val's order; "" if there is nothing wrong.
// Source: reference validation-protocol.md §5, 1 to 6.
func (q request) fault() status {
	_, id := q.client()
	nonce := q.params["nonce"]
	switch {
	case q.broken:
		return missingParameter
	case q.version == v2 && (nonce == "" || nonce == "0" || !syncLevel(q.params["sl"]) || !digits(q.params["timeout"])):
		return missingParameter
	case len(q.readings) == 0:
		return badOTP
	case !id, q.version == v2 && !nonceForm(nonce):
		return missingParameter
	}
	return ""
}

// client is the client's number.
func (q request) client() (int64, bool) {
	s := strings.Trim(q.params["id"], validate.Space)
	if s == "" || len(s) > maxID || !digits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0
}

// nonce is "" in version 1, which has none.
func (q request) nonce() string {
	if q.version == v1 {
		return ""
	}
	return q.params["nonce"]
}

// wantsCounters reports whether timestamp is 1, leading zeros or not.
func (q request) wantsCounters() bool {
	return strings.TrimLeft(q.params["timestamp"], "0") == "1"
}

// echoes reports whether otp and nonce can be sent back.
func (q request) echoes() bool {
	return q.version == v2 && len(q.readings) > 0 && nonceForm(q.params["nonce"])
}

func nonceForm(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(s) >= minNonce && len(s) <= maxNonce
}

// syncLevel takes 0 to 100, fast and secure in any case, and nothing at all.
func syncLevel(s string) bool {
	if s == "" || strings.EqualFold(s, "fast") || strings.EqualFold(s, "secure") {
		return true
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return err == nil && n <= 100
}

// digits reports whether s has nothing but decimal digits; "" has nothing else.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
