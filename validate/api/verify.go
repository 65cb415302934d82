package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// verifyRequest asks about one factor of one person, or of one token.
type verifyRequest struct {
	Person   string `json:"person"` // account; exactly one of both
	Serial   string `json:"serial"` // or a label
	Factor   string `json:"factor"` // as typed
	Browser  string `json:"browser"`
	Remember bool   `json:"remember"` // give out a value for Browser
	Device   string `json:"device"`   // what the browser is called in the list
}

// verifyAnswer is the decision. A denial has Result, Message, Support and Findings, whatever the cause.
type verifyAnswer struct {
	Result   string     `json:"result"`            // "accepted" or "denied"
	Message  string     `json:"message"`           // for the person
	Type     string     `json:"type,omitempty"`    // of what was accepted: "totp", "recovery", …
	Browser  string     `json:"browser,omitempty"` // the new value: for a cookie
	Left     *int       `json:"codes_left,omitempty"`
	Support  string     `json:"support_code,omitempty"`
	Findings *[]finding `json:"findings,omitempty"` // about the text alone, D01 to D09
}

// The public texts.
const (
	accepted        = "accepted"
	denied          = "denied"
	messageAccepted = "The code is right."
	messageDenied   = "The code was not accepted. Touch or type again; if it still fails, read the support code to the helpdesk."
)

// verify decides about one factor.
func (c *call) verify() (any, error) {
	q, err := read[verifyRequest](c)
	if err != nil {
		return nil, err
	}
	if (q.Person == "") == (q.Serial == "") {
		return nil, errPersonSerial
	}
	if err := desk.CheckDevice(q.Device); err != nil {
		return nil, err
	}
	checked, err := c.check(validate.Factor{Account: q.Person, Serial: q.Serial, Text: q.Factor, Browser: q.Browser})
	if err != nil {
		return nil, err
	}
	if checked.Outcome != validate.Accepted {
		findings, err := c.deny(q.Person, q.Serial, q.Factor, checked)
		return verifyAnswer{Result: denied, Message: messageDenied, Support: token.ShowSpoken(c.support), Findings: &findings}, err
	}
	a := verifyAnswer{Result: accepted, Message: messageAccepted, Type: checked.Kind}
	if checked.Kind == validate.KindRecovery || checked.Kind == validate.KindTemp {
		a.Left = &checked.CodesLeft
	}
	if q.Remember {
		a.Browser = c.trust(checked, q.Device)
	}
	return a, nil
}

// check asks the Checker, for the client of this request.
func (c *call) check(f validate.Factor) (validate.Checked, error) {
	f.Client, f.Source, f.Signed = c.client, c.source, c.proven
	checked, err := c.Checker.Check(c.ctx, f)
	if err != nil {
		return checked, err
	}
	c.checked = &checked
	return checked, nil
}

// trust makes the browser a trusted one, if a token proved the person: what lasts a week must not come of a code for a few hours, nor of
// the trust itself. The factor is spent, so that a failure costs only the trust.
func (c *call) trust(checked validate.Checked, name string) string {
	switch token.Kind(checked.Kind) {
	case token.YubicoOTP, token.HOTP, token.TOTP:
	default:
		return ""
	}
	if checked.Person == 0 {
		return ""
	}
	value, err := c.Desk.Trust(c.ctx, checked.Person, checked.Token, c.client.ID, name)
	if err != nil {
		c.failed = fmt.Errorf("trust: %w", err)
		return ""
	}
	defer value.Destroy()
	return string(value.Reveal())
}

// deny draws the support code of a denial and says what is wrong with the text by itself. Why it was denied is found out and kept
// under the code after the answer was sent, so that neither what the answer says nor when it comes tells whether anything of
// it is known.
func (c *call) deny(account, serial, text string, checked validate.Checked) ([]finding, error) {
	if err := c.drawSupport(); err != nil {
		return nil, err
	}
	c.after = func(ctx context.Context) error {
		return errors.Join(c.Checker.Note(ctx, checked), c.keep(ctx, account, serial, text, checked))
	}
	return c.public(account, text)
}

// public are the findings about what was typed by itself, whoever it was typed for.
func (c *call) public(account, text string) ([]finding, error) {
	list, err := (&diagnose.Doctor{Store: nobody{}, Now: c.Now}).Diagnose(c.ctx, diagnose.Question{Account: account, Text: text})
	return each(diagnose.Public(list), viewFinding), err
}

// keep finds the cause and stores it.
func (c *call) keep(ctx context.Context, account, serial, text string, checked validate.Checked) error {
	list, err := c.Doctor.Diagnose(ctx, diagnose.Question{Account: account, Serial: serial, Text: text, Checked: &checked})
	if err != nil {
		return fmt.Errorf("diagnose: %w", err)
	}
	a := diagnose.Attempt{At: c.start, Client: c.client.ID, Source: c.source, Token: checked.Token, Findings: list}
	switch p, _, err := c.Desk.Person(ctx, account); {
	case checked.Person != 0:
		a.Person = &token.Person{ID: checked.Person, Account: account}
	case err == nil: // what was typed is no code
		a.Person = &p
	case !errors.Is(err, token.ErrNotFound):
		return err
	}
	return c.Doctor.Keep(ctx, c.support, a)
}
