package validate

import (
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// rule decides about a code or a trusted browser against what the store holds. It reads no clock and changes nothing.
func (c *Checker) rule(h Holding, f Factor, text typed, at time.Time) (Checked, Ruling) {
	checked := Checked{Outcome: BadOTP, Person: h.Person, Token: h.Token}
	ruling := Ruling{Throttle: h.Throttle, Budget: h.Budget.Drained(at)}
	stopped := stop(h, f.Client, text, at)
	switch {
	case h.Browser != 0 && f.Client.AllowsGroups(h.Groups):
		checked.Outcome, checked.Reason, checked.Kind = Accepted, ReasonAccepted, KindBrowser
		ruling.Browser = h.Browser
	case text.oath != "":
		if stopped != "" {
			h.Credentials = nil
		}
		if text.prefix != "" {
			h.Credentials = slices.DeleteFunc(slices.Clone(h.Credentials), func(k Candidate) bool { return !k.types(text.prefix) })
		}
		c.ruleOATH(h, text.oath, at, &checked, &ruling)
	case text.spoken != "":
		if stopped != "" {
			h.Codes = nil
		}
		ruleSpoken(h, f.Client.ID, at, &checked, &ruling)
	default: // the browser is not trusted here, and the text, if there is one, is no code
		return checked, Ruling{}
	}
	if stopped != "" && checked.Kind != KindBrowser {
		checked.Reason = stopped
	}
	charge(h, text, at, checked, &ruling)
	ruling.Event = &Event{
		Client: f.Client.ID, Source: f.Source, Kind: checked.Kind, Person: checked.Person, Token: checked.Token,
		Result: string(checked.Outcome), Reason: checked.Reason, Signed: f.Signed,
	}
	return checked, ruling
}

// stop says why no code is compared, "" if one is. What a throttle stops are guesses of 6 to 8 digits: temporary and recovery codes
// have 50 bits, and are what helps a person whom somebody else locked out. Guessing them is bounded by a budget of the person: 1,000 an
// hour find one of 11 codes with a chance of 9·10^-8 in a year.
func stop(h Holding, client Client, text typed, at time.Time) Reason {
	permitted, _ := h.Throttle.Permits(at)
	switch {
	case !h.Budget.Permits(at):
		return ReasonBudget
	case !h.Known:
		return ReasonNobody
	case !client.AllowsGroups(h.Groups):
		return ReasonNotAllowed
	case text.oath != "" && h.Throttle.Locked(at):
		return ReasonLocked
	case text.oath != "" && !permitted:
		return ReasonThrottled
	}
	return ""
}

// charge counts a guess: a code of digits against the subject's throttle and the client's budget, a temporary or recovery code
// against the subject's budget for those. What was compared with nothing because nobody is named, or the client may not ask, uses up no
// budget: otherwise invented names would keep everybody out. An accepted code forgets the subject's failures, a browser does not.
//
// A code that was used before is no guess: a form that is sent twice locks nobody out. Nothing else is accepted for such a text, so
// it gives no free try. Nor is a fresh one of a credential whose counters are not trusted yet.
func charge(h Holding, text typed, at time.Time, checked Checked, r *Ruling) {
	switch checked.Reason {
	case ReasonAccepted:
		if checked.Kind != KindBrowser {
			r.Throttle = Throttle{}
		}
	case ReasonSame, ReasonCautious, ReasonBudget, ReasonLocked, ReasonThrottled, ReasonNotAllowed:
	default:
		if h.Known {
			r.Budget = h.Budget.Charged(at)
		}
		if text.oath != "" {
			r.Throttle = h.Throttle.Failed(at)
		}
	}
}

// ruleOATH compares a code with all credentials of the subject, whatever the first ones say. One that was used before is
// refused, even if another token shows the same digits now.
func (c *Checker) ruleOATH(h Holding, code string, at time.Time, checked *Checked, r *Ruling) {
	checked.Reason = ReasonWrong
	if len(h.Credentials) == 0 {
		c.match(c.dummy, at, code)
		return
	}
	var accept, spend []Advance
	var accepted, blocked, spent *Candidate
	for i, k := range h.Credentials {
		moving, how := c.match(k, at, code)
		a := Advance{Credential: k.ID, Use: -1, Session: -1, Moving: moving, Clock: k.Row.Counters.Clock, At: at}
		switch {
		case how == Spent:
			spent = &h.Credentials[i]
		case how == Fresh && k.Row.Enabled:
			if k.Kind == token.TOTP {
				a.Clock = Learn(a.Clock, k.Period, moving, Window(k.Model, k.Row.Counters, at), at)
			}
			accept, accepted = append(accept, a), &h.Credentials[i]
		case how == Fresh:
			spend, blocked = append(spend, a), &h.Credentials[i]
		}
	}
	r.Spend = spend
	switch {
	case spent != nil:
		checked.recognise(*spent, BadOTP, ReasonSame)
	case accepted != nil:
		r.Accept = accept
		checked.recognise(*accepted, Accepted, ReasonAccepted)
	case blocked != nil:
		checked.recognise(*blocked, BadOTP, disabled(blocked.Row))
	}
}

// types reports whether k is the HOTP credential that a prefix names.
func (k Candidate) types(prefix string) bool {
	return k.Kind == token.HOTP && (k.TypedID == prefix || strings.EqualFold(k.Label, prefix))
}

// match holds a code against one credential.
func (k Candidate) match(at time.Time, code string) (moving int64, how Match) {
	if k.Kind == token.HOTP {
		return MatchHOTP(k.Generator, k.Row, HOTPWindow, code)
	}
	return MatchTOTP(k.Generator, k.Row, k.Period, Window(k.Model, k.Row.Counters, at), at, code)
}

func (c *Checked) recognise(k Candidate, o Outcome, why Reason) {
	c.Outcome, c.Reason, c.Kind, c.Token, c.Credential = o, why, string(k.Kind), k.Token, k.ID
}

// ruleSpoken decides about a temporary or recovery code.
func ruleSpoken(h Holding, client int64, at time.Time, checked *Checked, r *Ruling) {
	checked.Reason = ReasonWrong
	left := 0 // recovery codes that count
	for _, k := range h.Codes {
		why := k.refuses(client, at)
		if k.Kind == KindRecovery && why == "" {
			left++
		}
		if !k.Right {
			continue
		}
		checked.Kind, checked.Reason = k.Kind, why
		if why == "" {
			checked.Outcome, checked.Reason, checked.CodesLeft, r.Code = Accepted, ReasonAccepted, k.UsesLeft-1, k.ID
		}
	}
	if checked.Outcome == Accepted && checked.Kind == KindRecovery {
		checked.CodesLeft = left - 1
	}
}

// refuses says why a code does not count at a client, "" if it does.
func (k Code) refuses(client int64, at time.Time) Reason {
	switch {
	case k.Revoked:
		return ReasonWithdrawn
	case k.UsesLeft <= 0:
		return ReasonUsedUp
	case !k.Expires.IsZero() && !at.Before(k.Expires):
		return ReasonExpired
	case k.Client != 0 && k.Client != client:
		return ReasonOtherClient
	}
	return ""
}
