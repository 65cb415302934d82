package wsapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Statuses of the rows.
const (
	yes      = "OK"
	bad      = "BAD_OTP"
	missing  = "MISSING_PARAMETER"
	badSig   = "BAD_SIGNATURE"
	noClient = "NO_SUCH_CLIENT"
	replayed = "REPLAYED_OTP"
	retried  = "REPLAYED_REQUEST"
	backend  = "BACKEND_ERROR"
	refused  = "OPERATION_NOT_ALLOWED"
)

// row is one line of reference validation-protocol.md §18. In a query $N is the nonce, $O the OTP (5, 0) of the worked
// credential, which is fresh, and good the whole of a good request.
type row struct {
	n        int
	name     string
	setup    func(*site)
	before   string // a query that is answered OK first
	query    string
	post     string // a form instead, or as well
	method   string // GET, or POST if there is a form
	path     string // instead of /wsapi/2.0/verify
	want     string // status
	code     int    // 200
	emptyKey bool   // signed with the empty key; otherwise with the client's
	noEcho   bool   // for OK: version 1
	counters bool   // the three are there
	after    string // status of $O with another nonce afterwards
}

const good = "id=1&nonce=$N&otp=$O"

func without(name string) string {
	parts := strings.Split(good, "&")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return strings.HasPrefix(p, name+"=") }), "&")
}

func block(s *site) { _ = s.store.Change(s.id, token.Lose) }

var errGone = errors.New("gone")

func ask(otp string) string { return "id=1&nonce=$N&otp=" + url.QueryEscape(otp) }

func with(more string) string { return good + "&" + more }

func rows(t testing.TB) []row { return slices.Concat(otpRows(t), clientRows(t), otherRows(t)) }

func otpRows(t testing.TB) []row {
	wrong := worked()
	wrong.PrivateID[0] ^= 1
	foreign := both()
	foreign.PublicID = worked().PublicID
	return []row{
		{n: 1, name: "nothing", query: "", want: missing, emptyKey: true},
		{n: 2, name: "no nonce", query: without("nonce"), want: missing, after: yes},
		{n: 3, name: "empty nonce", query: "id=1&nonce=&otp=$O", want: missing, after: yes},
		{n: 3, name: "nonce 0", query: "id=1&nonce=0&otp=$O", want: missing},
		{n: 3, name: "nonce 0 and a bad otp", query: "id=1&nonce=0&otp=x", want: missing},
		{n: 4, name: "nonce of 15 and a bad otp", query: "id=1&nonce=aaaaaaaaaaaaaaa&otp=x", want: bad},
		{n: 4, name: "nonce of 15", query: "id=1&otp=$O&nonce=" + strings.Repeat("n", 15), want: missing, after: yes},
		{n: 5, name: "nonce of 16", query: "id=1&otp=$O&nonce=" + strings.Repeat("n", 16), want: yes},
		{n: 5, name: "nonce of 40", query: "id=1&otp=$O&nonce=" + strings.Repeat("9", 40), want: yes},
		{n: 6, name: "nonce of 41", query: "id=1&otp=$O&nonce=" + strings.Repeat("n", 41), want: missing},
		{n: 7, name: "nonce with -", query: "id=1&otp=$O&nonce=aaaaaaaaaaaaaaa-", want: missing},
		{n: 7, name: "nonce with _", query: "id=1&otp=$O&nonce=aaaaaaaaaaaaaaa_", want: missing},
		{n: 7, name: "nonce with a blank", query: "id=1&otp=$O&nonce=aaaaaaaaaaaaaaa+a", want: missing},
		{n: 7, name: "nonce with an umlaut", query: "id=1&otp=$O&nonce=aaaaaaaaaaaaaaa%C3%A4", want: missing},
		{n: 8, name: "no otp", query: without("otp"), want: bad},
		{n: 9, name: "otp of 31", query: ask(strings.Repeat("c", 31)), want: bad},
		{n: 10, name: "otp of 32", query: ask(press(t, 5, 0)[12:]), want: bad, after: yes},
		{n: 11, name: "otp of 48, unknown", query: ask("cccc" + press(t, 5, 0)), want: bad, after: yes},
		{n: 12, name: "otp of 49", query: ask("ccccc" + press(t, 5, 0)), want: bad},
		{n: 12, name: "otp of 50", query: ask("cccccc" + press(t, 5, 0)), want: bad},
		{n: 12, name: "otp of 50, known", query: ask(nineBytes().Press(t, yubiotp.Token{UseCounter: 1})), want: bad},
		{n: 13, name: "otp of 10,000", query: ask(strings.Repeat("c", 10000)), want: bad},
		{n: 14, name: "a letter outside ModHex", query: ask("a" + press(t, 5, 0)[1:]), want: bad},
		{n: 14, name: "a letter outside ASCII", query: ask(press(t, 5, 0)[:42] + "ı"), want: bad},
		{n: 15, name: "44 digits", query: ask(strings.Repeat("1", 44)), want: bad},
		{n: 15, name: "a code", query: ask("123456"), want: bad},
		{n: 16, name: "upper case", query: ask(strings.ToUpper(press(t, 5, 0))), want: yes, after: replayed},
		{n: 17, name: "Dvorak", query: ask(dvorak(press(t, 5, 0))), want: yes, after: replayed},
		{n: 18, name: "ModHex that could be Dvorak", query: ask("cccccccccbchbbghjihgbiknuhcgckubkdtcnhncikkt"), want: yes},
		{n: 19, name: "blanks and line end", query: ask("  " + press(t, 5, 0) + "\r\n"), want: yes, after: replayed},
		{n: 20, name: "backslash", query: ask(press(t, 5, 0) + `\`), want: bad, after: yes},
		{n: 21, name: "blank inside", query: ask(press(t, 5, 0)[:12] + " " + press(t, 5, 0)[12:]), want: bad},
		{n: 22, name: "unknown public ID", query: ask("cccccccccccc" + press(t, 5, 0)[12:]), want: bad, after: yes},
		{n: 23, name: "CRC", query: ask(flip(press(t, 5, 0))), want: bad, after: yes},
		{n: 24, name: "private ID", query: ask(wrong.Press(t, yubiotp.Token{UseCounter: 0x7FFF})), want: bad, after: yes},
		{n: 25, name: "of another key", query: ask(foreign.Press(t, yubiotp.Token{UseCounter: 0x7FFF})), want: bad, after: yes},
		{n: 26, name: "blocked", setup: block, query: good, want: bad},
		{n: 27, name: "same OTP, same nonce", before: good, query: good, want: retried},
		{n: 28, name: "same OTP, new nonce", before: good, query: "id=1&nonce=$M&otp=$O", want: replayed},
		{n: 29, name: "older", before: good, query: "id=1&nonce=$M&otp=" + press(t, 4, 9), want: replayed},
		{n: 30, name: "older, last nonce", before: good, query: ask(press(t, 4, 9)), want: replayed},
	}
}

func clientRows(t testing.TB) []row {
	const plus = "id=1&nonce=nonce0000000000000007&otp=" + workedOTP
	return []row{
		{n: 33, name: "use counter 0", query: ask(press(t, 0, 0)), want: yes, after: yes},
		{n: 34, name: "bit 15", query: ask(worked().Press(t, yubiotp.Token{UseCounter: 4, CapsFlag: true})), want: yes, after: yes},
		{n: 35, name: "use counter 7fff", query: ask(press(t, 0x7FFF, 0)), want: yes, after: replayed},
		{n: 36, name: "no id", query: without("id"), want: missing, emptyKey: true, after: yes},
		{n: 36, name: "id 0", query: "id=0&nonce=$N&otp=$O", want: missing, emptyKey: true},
		{n: 36, name: "id abc", query: "id=abc&nonce=$N&otp=$O", want: missing, emptyKey: true},
		{n: 36, name: "id -1", query: "id=-1&nonce=$N&otp=$O", want: missing, emptyKey: true},
		{n: 37, name: "id of 11 digits", query: "id=00000000001&nonce=$N&otp=$O", want: missing, emptyKey: true},
		{n: 38, name: "id over 32 bits", query: "id=9999999999&nonce=$N&otp=$O", want: noClient, emptyKey: true},
		{n: 39, name: "id 01, signed so", query: sign(t, "id=01&nonce=$N&otp=$O"), want: yes},
		{n: 40, name: "unknown client", query: "id=4711&nonce=$N&otp=$O", want: noClient, emptyKey: true, after: yes},
		{n: 41, name: "disabled client", query: "id=2&nonce=$N&otp=$O", want: noClient, emptyKey: true, after: yes},
		{n: 42, name: "h wrong", query: with("h=KdH2DNkXBEaHVMVDphFvaj5TUhs%3D"), want: badSig, after: yes},
		{n: 43, name: "h empty", query: with("h="), want: yes},
		{n: 43, name: "h empty, must sign", query: "id=3&nonce=$N&otp=$O&h=", want: badSig, after: yes},
		{n: 43, name: "no h, must sign", query: "id=3&nonce=$N&otp=$O", want: badSig, after: yes},
		{n: 43, name: "signed, must sign", query: sign(t, "id=3&nonce=$N&otp=$O"), want: yes},
		{n: 44, name: "+ not escaped", query: plus + "&h=fep07nyH0u/oe4yDvFhMnSOB+wA=", want: yes},
		{n: 45, name: "URL-safe", query: plus + "&h=fep07nyH0u_oe4yDvFhMnSOB-wA%3D", want: badSig},
		{n: 45, name: "no padding", query: plus + "&h=fep07nyH0u/oe4yDvFhMnSOB%2BwA", want: badSig},
		{n: 46, name: "added after signing", query: sign(t, good) + "&x=1", want: badSig, after: yes},
		{n: 47, name: "unknown, signed", query: sign(t, with("x=1")), want: yes},
		{n: 47, name: "unknown, unsigned request", query: with("x=%0D%0Astatus=OK"), want: yes},
		{n: 47, name: "unknown, above 7f", query: with("x=%FF"), want: missing, after: yes},
	}
}

func otherRows(t testing.TB) []row {
	return []row{
		{n: 48, name: "sl 0", query: with("sl=0"), want: yes},
		{n: 48, name: "sl -1", query: with("sl=-1"), want: missing, after: yes},
		{n: 48, name: "sl abc", query: with("sl=abc"), want: missing},
		{n: 49, name: "sl 101", query: with("sl=101"), want: missing, after: yes},
		{n: 50, name: "sl fast", query: with("sl=fast"), want: yes},
		{n: 50, name: "sl SECURE", query: with("sl=SECURE"), want: yes},
		{n: 50, name: "sl 1", query: with("sl=1"), want: yes},
		{n: 50, name: "sl 100", query: with("sl=100"), want: yes},
		{n: 50, name: "sl empty", query: with("sl="), want: yes},
		{n: 51, name: "sl 1.5", query: with("sl=1.5"), want: missing},
		{n: 52, name: "timeout -1", query: with("timeout=-1"), want: missing},
		{n: 52, name: "timeout abc", query: with("timeout=abc"), want: missing},
		{n: 52, name: "timeout 1.5", query: with("timeout=1.5"), want: missing},
		{n: 53, name: "timeout long", query: with("timeout=99999999999"), want: yes},
		{n: 53, name: "timeout empty", query: with("timeout="), want: yes},
		{n: 54, name: "timestamp 0", query: with("timestamp=0"), want: yes},
		{n: 54, name: "timestamp 2", query: with("timestamp=2"), want: yes},
		{n: 54, name: "timestamp abc", query: with("timestamp=abc"), want: yes},
		{n: 54, name: "timestamp 1", query: with("timestamp=1"), want: yes, counters: true},
		{n: 54, name: "timestamp 01", query: with("timestamp=01"), want: yes, counters: true},
		{n: 55, name: "otp twice", query: with("otp=$O"), want: missing, after: yes},
		{n: 55, name: "id twice", query: with("id=1"), want: missing, emptyKey: true, after: yes},
		{n: 56, name: "otp[]", query: "id=1&nonce=$N&otp[]=$O", want: missing, after: yes},
		{n: 57, name: "form", post: good, want: yes, after: replayed},
		{n: 57, name: "form too long", post: with("x=" + strings.Repeat("x", 5000)), want: missing, after: yes},
		{n: 57, name: "form far too long", post: with("x=" + strings.Repeat("x", 20000)), want: missing, emptyKey: true, after: yes},
		{n: 58, name: "query and form, query good", query: good, post: "otp=x", want: yes},
		{n: 58, name: "query and form, form good", query: without("otp"), post: good, want: bad, after: yes},
		{n: 59, name: "PUT", method: http.MethodPut, query: good, code: http.StatusMethodNotAllowed, after: yes},
		{n: 59, name: "DELETE", method: http.MethodDelete, query: good, code: http.StatusMethodNotAllowed, after: yes},
		{n: 59, name: "HEAD", method: http.MethodHead, query: good, code: http.StatusMethodNotAllowed, after: yes},
		{n: 60, name: "1.0, off", path: "/wsapi/verify", query: good, code: http.StatusNotFound, after: yes},
		{n: 60, name: "1.0, sl abc", path: "/wsapi/verify", setup: allow1x, query: "id=1&otp=$O&sl=abc&timeout=x", want: yes, noEcho: true, after: replayed},
		{n: 60, name: "1.1, counters", path: "/wsapi/1.1/verify", setup: allow1x, query: "id=1&otp=$O&timestamp=1", want: yes, noEcho: true, counters: true},
		{n: 61, name: "%00 in the otp", query: ask("\x00" + press(t, 5, 0)[1:]), want: bad},
		{n: 61, name: "CR in the otp", query: ask(press(t, 5, 0)[:20] + "\r\n" + press(t, 5, 0)[22:]), want: bad},
		{n: 61, name: "LF in the nonce", query: "id=1&otp=$O&nonce=aaaaaaaaaaaaaaaa%0Astatus=OK", want: missing, after: yes},
		{n: 62, name: "broken escape", query: with("x=%zz"), want: missing, after: yes},
		{n: 62, name: "broken escape in the otp", query: "id=1&nonce=$N&otp=%zz$O", want: missing, after: yes},
		{n: 63, name: "no store for clients", setup: func(s *site) { s.faults.client = errGone }, query: good, want: backend, emptyKey: true},
		{n: 64, name: "commit fails", setup: func(s *site) { s.faults.accept = errGone }, query: good, want: backend},
		{n: 65, name: "no store for keys", setup: func(s *site) { s.faults.find = errGone }, query: good, want: backend},
		{n: 66, name: "not from there", setup: limit(func(c *validate.Client) { c.Networks = prefixes("192.0.2.0/24", "2001:db8::/32") }), query: good, want: refused},
		{n: 66, name: "from there", setup: limit(func(c *validate.Client) { c.Networks = prefixes("192.0.2.0/24", "127.0.0.0/8") }), query: good, want: yes},
		{n: 66, name: "not about that person", setup: limit(func(c *validate.Client) { c.Groups = []string{"staff"} }), query: good, want: refused, after: refused},
		{n: 66, name: "about that person", setup: limit(func(c *validate.Client) { c.Groups = []string{"guests"} }), query: good, want: yes},
		{n: 66, name: "unknown public ID", setup: limit(func(c *validate.Client) { c.Groups = []string{"staff"} }), query: ask("cccccccccccc" + press(t, 5, 0)[12:]), want: refused},
		{n: 67, name: "too many", setup: func(s *site) {
			s.handler.Limit = func(c validate.Client, _ string) bool { return c.ID == 1 }
		}, query: good, want: backend},
	}
}

// elsewhere are the rows that are no single request to verify: the file with their test, and its name. KSM, sync and codes have doors of
// their own.
var elsewhere = map[int][2]string{
	31: {"rowrun_test.go", "TestRow31and32"}, 32: {"rowrun_test.go", "TestRow31and32"},
	68: {"ksm_test.go", "TestKSMRows"}, 69: {"ksm_test.go", "TestKSMRows"}, 70: {"ksm_test.go", "TestKSMRows"},
	71: {"sync_test.go", "TestSyncRows"}, 72: {"sync_test.go", "TestSyncRows"},
	73: {"../match_test.go", "TestHOTPWindow"}, 74: {"../match_test.go", "TestTOTPWindow"}, 75: {"../check_test.go", "TestForms"},
	76: {"../check_test.go", "TestForms"}, 77: {"../match_test.go", "TestEqualPair"},
}

// limit changes client 1. The holder of worked is in two groups.
func limit(change func(*validate.Client)) func(*site) {
	return func(s *site) {
		c, _ := s.store.Client(context.Background(), 1)
		change(&c)
		_ = s.store.SetClient(c)
		_ = s.store.SetGroups(s.id, "guests", "lab")
	}
}

func prefixes(text ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, t := range text {
		list = append(list, netip.MustParsePrefix(t))
	}
	return list
}

func allow1x(s *site) { s.handler.Allow1x = true }

// flip changes the last character of an OTP to another ModHex letter.
func flip(otp string) string {
	last := "c"
	if otp[len(otp)-1] == 'c' {
		last = "b"
	}
	return otp[:len(otp)-1] + last
}
