package validate_test

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func row(use, session int) validate.Row {
	return validate.Row{Enabled: true, State: token.Active, Token: token.Active, Counters: token.Counters{Use: use, Session: session, Nonce: "n"}}
}

func off(credential, its token.State) validate.Row {
	return validate.Row{State: credential, Token: its, Counters: token.Counters{Use: 5, Session: 5, Nonce: "n"}}
}

func cautious(its token.State) validate.Row {
	r := off(token.Active, its)
	r.Caution = validate.Cautious
	return r
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		row     validate.Row
		use     uint16
		session uint8
		nonce   string
		outcome validate.Outcome
		reason  validate.Reason
	}{
		{"fresh, first of all", row(-1, -1), 0, 0, "n", validate.Accepted, validate.ReasonAccepted},
		{"next in the power-up", row(5, 5), 5, 6, "n", validate.Accepted, validate.ReasonAccepted},
		{"next power-up", row(5, 5), 6, 0, "n", validate.Accepted, validate.ReasonAccepted},
		{"skipped many", row(5, 5), 0x7FFF, 0, "n", validate.Accepted, validate.ReasonAccepted},
		{"same, same nonce", row(5, 5), 5, 5, "n", validate.ReplayedRequest, validate.ReasonRetry},
		{"same, other nonce", row(5, 5), 5, 5, "m", validate.Replayed, validate.ReasonSame},
		{"same, no nonce", validate.Row{Enabled: true, Counters: token.Counters{Use: 5, Session: 5}}, 5, 5, "", validate.Replayed, validate.ReasonSame},
		{"older session, last nonce", row(5, 5), 5, 4, "n", validate.Replayed, validate.ReasonOlder},
		{"older use, higher session", row(5, 5), 4, 200, "m", validate.Replayed, validate.ReasonOlder},
		{"nothing above the end", row(0x7FFF, 255), 0x7FFF, 255, "m", validate.Replayed, validate.ReasonSame},
		{"lost, newer", off(token.Active, token.Lost), 6, 0, "n", validate.BadOTP, validate.ReasonBlocked},
		{"lost, same request", off(token.Active, token.Lost), 5, 5, "n", validate.BadOTP, validate.ReasonBlocked},
		{"suspended", off(token.Active, token.Suspended), 6, 0, "n", validate.BadOTP, validate.ReasonBlocked},
		{"revoked", off(token.Revoked, token.Active), 6, 0, "n", validate.BadOTP, validate.ReasonRevoked},
		{"pending", off(token.Pending, token.Active), 6, 0, "n", validate.BadOTP, validate.ReasonPending},
		{"in stock", off(token.InStock, token.InStock), 6, 0, "n", validate.BadOTP, validate.ReasonInStock},
		{"unsettled", off(token.Active, token.Active), 6, 0, "n", validate.BadOTP, validate.ReasonUnsettled},
		{"cautious, newer", cautious(token.Active), 6, 0, "n", validate.BadOTP, validate.ReasonCautious},
		{"cautious, the same", cautious(token.Active), 5, 5, "m", validate.Replayed, validate.ReasonSame},
		{"cautious, older", cautious(token.Active), 5, 4, "n", validate.Replayed, validate.ReasonOlder},
		{"cautious and lost", cautious(token.Lost), 6, 0, "n", validate.BadOTP, validate.ReasonBlocked},
	} {
		got := validate.Decide(tc.row, yubiotp.Token{UseCounter: tc.use, SessionCounter: tc.session}, tc.nonce)
		if want := (validate.Decision{Outcome: tc.outcome, Reason: tc.reason}); got != want {
			t.Errorf("%s: got %v, want %v", tc.name, got, want)
		}
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	const second = 8 // ticks
	stored := token.Counters{Use: 5, Session: 5, Timestamp: 1000, At: now}
	for _, tc := range []struct {
		name  string
		otp   yubiotp.Token
		after time.Duration
		want  validate.Marks
	}{
		{"in step", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 1000 + 60*second}, 60 * time.Second, validate.Marks{}},
		{"sent an hour late", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 1000 + 60*second}, time.Hour, validate.Marks{Delayed: true}},
		{"20 s is no delay", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 1000}, 20 * time.Second, validate.Marks{}},
		{"21 s is", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 1000}, 21 * time.Second, validate.Marks{Delayed: true}},
		{"a slow clock over a day", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 1000 + 80000*second}, 24 * time.Hour, validate.Marks{}},
		{"the key's clock wraps", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 5}, (1<<24 - 995) * time.Second / second, validate.Marks{}},
		{"the key's clock runs ahead a little", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 1000 + 65*second}, 60 * time.Second, validate.Marks{}},
		{"our clock stands", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 1000 + 21*second}, 0, validate.Marks{Delayed: true}},
		{"other power-up", yubiotp.Token{UseCounter: 6, Timestamp: 1}, time.Hour, validate.Marks{}},
		{"same counters, other clock", yubiotp.Token{UseCounter: 5, SessionCounter: 5, Timestamp: 7}, time.Hour, validate.Marks{Copied: true}},
		{"the key's clock ran eleven minutes in one", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 1000 + 11*60*second}, 10 * time.Second, validate.Marks{Copied: true, Delayed: true}},
		{"a lower clock without time for its wrap", yubiotp.Token{UseCounter: 5, SessionCounter: 6, Timestamp: 7}, time.Hour, validate.Marks{Copied: true, Delayed: true}},
		{"same OTP", yubiotp.Token{UseCounter: 5, SessionCounter: 5, Timestamp: 1000}, time.Hour, validate.Marks{}},
		{"caps, nearly at the end", yubiotp.Token{UseCounter: 0x7000, CapsFlag: true}, time.Hour, validate.Marks{CapsFlag: true, NearEnd: true}},
		{"one before", yubiotp.Token{UseCounter: 0x6FFF}, time.Hour, validate.Marks{}},
	} {
		if got := (validate.Marks{}).Judge(stored, tc.otp, now.Add(tc.after)); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
