package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Evidence is everything that recognisers look at. It holds neither typed text nor secrets.
type Evidence struct {
	Now      time.Time
	Text     Text
	OTP      OTP
	Code     Code
	Subject  Subject
	Health   Health
	Reason   validate.Reason // of the check; "": nothing was checked
	Accepted bool
	Status   string // what the client's side was told, or says of its request
	InName   bool   // the account's name has the form of an OTP, or one is glued to it
}

// gather asks the store for all of it.
func (d *Doctor) gather(ctx context.Context, q Question) (*Evidence, error) {
	e := &Evidence{Now: d.Now(), Text: look(q.Text), Status: q.Status, InName: isModHex(q.Account) && len(q.Account) >= blockChars || glued(q.Account)}
	var err error
	if e.Health, err = d.Store.Health(ctx); err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	if q.Account != "" || q.Serial != "" {
		if e.Subject, err = d.Store.Subject(ctx, q.Account, q.Serial); err != nil {
			return nil, fmt.Errorf("subject: %w", err)
		}
	}
	if e.OTP, err = d.readOTP(ctx, q.Text, e.Subject); err != nil {
		return nil, err
	}
	if c := q.Checked; c != nil {
		e.Reason, e.Accepted = c.Reason, c.Outcome == validate.Accepted
		if r := c.Result; r.Opened && e.OTP.Opened && r.Credential == e.OTP.Held.Credential.ID { // the counters have moved since
			e.OTP.judge(r.Row, d)
			e.OTP.Row = r.Row
		}
	}
	if !e.OTP.Opened && !e.Accepted {
		e.Code, err = d.readCode(ctx, q.Text, e.Subject)
		e.Code.before(q.Checked)
	}
	return e, err
}

// has reports whether the subject has a credential that may be used, of one of these kinds.
func (e *Evidence) has(kinds ...token.Kind) bool {
	return slices.ContainsFunc(e.Subject.Held, func(h Held) bool {
		return slices.Contains(kinds, h.Credential.Kind) && h.Credential.State.Validates() && h.Token.State != token.Revoked && h.Token.State != token.InStock && h.Token.State != token.Shipped
	})
}

// fit is the best fit of the code, if it is of one of these.
func (e *Evidence) fit(hows ...how) (Fit, bool) {
	if len(e.Code.Fits) > 0 && slices.Contains(hows, e.Code.Fits[0].How) {
		return e.Code.Fits[0], true
	}
	return Fit{}, false
}

// usable is a fit whose credential counts: not dead, not pending, and of the token that was named.
func (e *Evidence) usable(hows ...how) (Fit, bool) {
	f, ok := e.fit(hows...)
	state := f.Held.Credential.State
	return f, ok && state != token.Revoked && state != token.Pending && f.Held.Token.State != token.Revoked && !e.other(f)
}

// other reports whether a token was named and the fit is on another one.
func (e *Evidence) other(f Fit) bool {
	return e.Subject.Token != 0 && f.Held.Token.ID != e.Subject.Token
}

// held is what was recognised: the credential of the OTP or of the code.
func (e *Evidence) held() (Held, bool) {
	switch {
	case e.OTP.known():
		return e.OTP.Held, true
	case len(e.Code.Fits) > 0:
		return e.Code.Fits[0].Held, true
	}
	return Held{}, false
}

// names puts what is known into actions.
func (e *Evidence) names() *strings.Replacer {
	var pairs []string
	if h, ok := e.held(); ok {
		pairs = append(pairs, "QUERY", query(h.Token), "SLOT", strconv.Itoa(int(h.Credential.Slot)))
	} else if i := slices.IndexFunc(e.Subject.Held, func(h Held) bool { return h.Token.ID == e.Subject.Token }); i >= 0 {
		pairs = append(pairs, "QUERY", query(e.Subject.Held[i].Token))
	}
	if p := e.Subject.Person; p != nil {
		pairs = append(pairs, "ACCOUNT", shellWord(p.Account, "ACCOUNT"))
	}
	return strings.NewReplacer(pairs...)
}

// throttle is the subject's.
func (e *Evidence) throttle() validate.Throttle {
	return validate.Throttle{Failures: e.Subject.Failures, At: e.Subject.FailedAt}
}

// nameOf is how a token is called in a line of text.
func nameOf(t token.Token) string {
	switch {
	case t.Serial != 0:
		return "serial " + t.Serial.String()
	case t.Label != "":
		return t.Label
	}
	return fmt.Sprintf("token %d", t.ID)
}

// query names a token in a command.
func query(t token.Token) string {
	switch {
	case t.Serial != 0:
		return t.Serial.String()
	case t.Label != "":
		return shellWord(t.Label, "QUERY")
	}
	return "QUERY"
}

// shellWord writes a name so that a shell takes it for one word and runs nothing of it: labels come from vendors' files. A name
// that would be taken for a flag is not written.
func shellWord(name, otherwise string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-"
	switch {
	case name == "" || name[0] == '-':
		return otherwise
	case strings.Trim(name, plain) == "":
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
