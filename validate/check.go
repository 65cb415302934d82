package validate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// ErrSubject says that a Factor names no account and no serial, or both.
var ErrSubject = errors.New("an account or a serial is needed, not both")

// Factor is what somebody presents besides the password, and who asks. The caller has proven the client.
type Factor struct {
	Account string // exactly one of Account and Serial
	Serial  string // a YubiKey's serial number or the label of another token
	Text    string // as typed: a one-time password of any kind, or a temporary or recovery code
	Browser string // the value of a trusted browser; ""
	Client  Client
	Source  string
	Signed  bool
}

// The kinds of Checked. Those of tokens are the words of token.Kind.
const (
	KindTemp     = "temp"
	KindRecovery = "recovery"
	KindBrowser  = "browser"
)

// The reasons of a Checker, besides those of a Verifier.
const (
	ReasonNobody      Reason = "unknown person or token" // or several fit
	ReasonOtherHolder Reason = "token of somebody else"
	ReasonWrong       Reason = "wrong code"
	ReasonThrottled   Reason = "too soon after a wrong code"
	ReasonLocked      Reason = "locked after too many wrong codes"
	ReasonBudget      Reason = "too many wrong codes in an hour"
	ReasonExpired     Reason = "expired code"
	ReasonUsedUp      Reason = "code was used up"
	ReasonOtherClient Reason = "code for another client"
	ReasonWithdrawn   Reason = "withdrawn code"
)

// Checked is what was found. Outside, nothing but Outcome may be told before the first factor is known to be right.
type Checked struct {
	Outcome    Outcome // Accepted or BadOTP
	Reason     Reason
	Kind       string         // what it was: a token.Kind or one of the constants; "" if it is not known
	Person     token.PersonID // whom it is about; 0: nobody is known
	Token      token.ID       // the one that it is of, or that the serial named; 0: unknown
	Credential token.CredentialID
	Result     Result // of a Yubico OTP
	CodesLeft  int    // recovery codes that are left, or uses of a temporary code, after one was accepted
}

// Checker decides about factors. It is safe for concurrent use. Make it with NewChecker.
type Checker struct {
	factors  Factors
	verifier *Verifier
	now      func() time.Time
	dummy    Candidate // does the work where there is nothing to compare with; its match never counts
	match    func(k Candidate, at time.Time, code string) (moving int64, how Match)
}

// NewChecker returns a Checker over a store, the Verifier for Yubico OTPs and a clock.
func NewChecker(f Factors, v *Verifier, now func() time.Time) *Checker {
	g, err := oath.New(secret.New(make([]byte, 20)), oath.SHA1, oath.MinDigits)
	if err != nil {
		panic(err) // all of it is constant
	}
	dummy := Candidate{Kind: token.TOTP, Model: token.App, Period: 30 * time.Second, Generator: g}
	return &Checker{factors: f, verifier: v, now: now, dummy: dummy, match: Candidate.match}
}

// typed is what a text can be: a code of digits, a spoken one, or an OTP.
type typed struct {
	oath   string // 6 to 8 digits
	prefix string // that a YubiKey put before them; ""
	spoken string // a temporary or recovery code, normalised
	otp    bool   // a Yubico OTP
}

// understand tells the forms apart; they differ in length. White space around a text does not count, nor do blanks in a
// code, as people type "123 456". With Verifier.Layouts, a code may be typed on another digit row; it is read in one way only, so
// that a try is one guess.
func (c *Checker) understand(text string) typed {
	text = strings.Trim(text, Space)
	if code := strings.ReplaceAll(text, " ", ""); oath.IsCode(code) {
		return typed{oath: code}
	}
	if prefix, code, ok := CutPrefix(text); ok {
		return typed{oath: code, prefix: prefix}
	}
	if c.verifier.Layouts {
		clean, _ := modhex.Clean(text)
		if oath.IsCode(clean) {
			return typed{oath: clean}
		}
		if all := modhex.DigitVariants(clean); len(all) > 0 && oath.IsCode(all[0].Text) {
			return typed{oath: all[0].Text}
		}
	}
	if code, ok := token.NormaliseSpoken(text); ok && len(code) == token.CodeLen {
		return typed{spoken: code}
	}
	return typed{otp: len(c.verifier.readings(text)) > 0}
}

// prefixLen is the length of what a YubiKey may type before a HOTP code to name itself: OMP, TT and MUI. Source: reference
// validation-protocol.md §15.
const prefixLen = 12

// CutPrefix splits a HOTP code of 6 or 8 digits behind what a YubiKey types to name itself, which becomes lower case.
func CutPrefix(s string) (prefix, code string, ok bool) {
	if len(s) != prefixLen+oath.MinDigits && len(s) != prefixLen+oath.MaxDigits {
		return "", "", false
	}
	prefix, code = strings.ToLower(s[:prefixLen]), s[prefixLen:]
	return prefix, code, oath.IsCode(code) && strings.Trim(prefix, modhex.Alphabet+"0123456789") == ""
}

// Check decides about one factor and spends it: a trusted browser's value first, then the text. The error is the store's or
// ErrSubject: then nothing is known, and a code may or may not be spent. When the answer was given, call Note.
//
// Whether the subject is known, throttled or locked, or the code wrong, a code costs one comparison or more and one durable write.
func (c *Checker) Check(ctx context.Context, f Factor) (Checked, error) {
	if (f.Account == "") == (f.Serial == "") {
		return Checked{}, ErrSubject
	}
	text := c.understand(f.Text)
	code := text.oath != "" || text.spoken != ""
	if code || f.Browser != "" {
		checked, err := c.attempt(ctx, f, text)
		if err != nil || code || checked.Outcome == Accepted {
			return checked, err
		}
	}
	if text.otp {
		return c.verify(ctx, f)
	}
	return Checked{Outcome: BadOTP, Reason: ReasonMalformed}, nil
}

// attempt decides about a code or a browser in one transaction of the store.
func (c *Checker) attempt(ctx context.Context, f Factor, text typed) (Checked, error) {
	at := c.now()
	req := AttemptRequest{Account: f.Account, Serial: f.Serial, OATH: text.oath != "", Spoken: text.spoken, Browser: f.Browser, Client: f.Client.ID, At: at}
	var checked Checked
	err := c.factors.Attempt(ctx, req, func(h Holding) Ruling {
		var r Ruling
		checked, r = c.rule(h, f, text, at)
		return r
	})
	if err != nil {
		return Checked{}, fmt.Errorf("attempt: %w", err)
	}
	return checked, nil
}

// verify decides about a Yubico OTP, which is spent only if it is of the subject. It is never throttled and never counts as a
// failure. Source: reference validation-protocol.md §15 rule 5.
func (c *Checker) verify(ctx context.Context, f Factor) (Checked, error) {
	h, err := c.factors.Look(ctx, AttemptRequest{Account: f.Account, Serial: f.Serial, Client: f.Client.ID, At: c.now()})
	if err != nil {
		return Checked{}, fmt.Errorf("look: %w", err)
	}
	r, err := c.verifier.Verify(ctx, Request{
		OTP: f.Text, Client: f.Client.ID, Source: f.Source, Signed: f.Signed, Groups: f.Client.Groups, Of: &Subject{h.Person, h.Token},
	})
	if err != nil {
		return Checked{}, err
	}
	checked := Checked{Outcome: r.Outcome, Reason: r.Reason, Kind: string(token.YubicoOTP), Person: h.Person, Token: h.Token, Result: r}
	if r.Outcome != Accepted {
		checked.Outcome = BadOTP
	}
	if r.Credential != 0 {
		checked.Token, checked.Credential = r.Token, r.Credential
	}
	return checked, nil
}

// Note writes the event of a refused Yubico OTP, as Verifier.Note does; for everything else, which is written by Check, it does
// nothing. It is called after the answer was given.
func (c *Checker) Note(ctx context.Context, checked Checked) error {
	return c.verifier.Note(ctx, checked.Result)
}
