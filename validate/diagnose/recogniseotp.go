package diagnose

import (
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// The recognisers of Yubico OTPs and of tokens.

func unknownID(e *Evidence) sign {
	if !e.OTP.Parsed || e.OTP.known() || e.Text.OTPs > 1 || e.Text.TooLong {
		return sign{}
	}
	return sign{evidence: "no credential has this public ID", weak: e.Text.Chars != otpChars}
}

func factory(e *Evidence) sign {
	o := e.OTP
	switch {
	case o.Parsed && !o.known() && o.Factory:
		return sign{evidence: "the public ID is of those written in the factory"}
	case o.known() && o.dead() && o.Held.Credential.Slot == 1 && o.Live == 2:
		return sign{evidence: nameOf(o.Held.Token) + ": slot 1 was touched, slot 2 is in use"}
	}
	return sign{}
}

func otherSlot(e *Evidence) sign {
	o := e.OTP
	if !o.known() || !o.dead() || o.Live == 0 || o.Held.Credential.Slot == 0 || o.Held.Credential.Slot == 1 && o.Live == 2 {
		return sign{}
	}
	return sign{evidence: fmt.Sprintf("%s: slot %d was touched, slot %d is in use", nameOf(o.Held.Token), o.Held.Credential.Slot, o.Live)}
}

// dead reports whether the credential itself is out of use, whatever its token is.
func (o OTP) dead() bool { return !o.Row.Enabled && !o.Row.State.Validates() }

func otherPerson(e *Evidence) sign {
	holder := e.OTP.Held.Token.Holder
	switch {
	case !e.OTP.known() || !e.Subject.Known() || e.OTP.Mine:
		return sign{}
	case holder != nil:
		return sign{evidence: nameOf(e.OTP.Held.Token) + " is held by " + holder.Account}
	case e.OTP.Held.Token.State != token.InStock:
		return sign{evidence: nameOf(e.OTP.Held.Token) + " is held by nobody"}
	}
	return sign{}
}

func inStock(e *Evidence) sign {
	h, ok := e.held()
	if !ok || h.Token.State != token.InStock {
		return sign{}
	}
	return sign{evidence: nameOf(h.Token) + " was not issued, or was returned"}
}

func replaced(e *Evidence) sign {
	o := e.OTP
	if !o.known() || o.Instead == nil || o.Held.Token.State != token.Revoked {
		return sign{}
	}
	return sign{evidence: nameOf(o.Held.Token) + " was retired; in use is " + nameOf(*o.Instead)}
}

func undecryptable(e *Evidence) sign {
	h := e.OTP.Held
	if !e.OTP.known() || e.OTP.Opened || e.OTP.Foreign || e.OTP.Gone && h.revoked() {
		return sign{}
	}
	s := sign{evidence: nameOf(h.Token) + " has this public ID, but the rest does not decrypt with its key"}
	if h.Token.Serial == 0 || h.Credential.Slot == 0 { // nobody can write it by that
		s.helper, s.action = "Programmed again elsewhere, or a character was changed.", "tokendesk token show QUERY"
	}
	return s
}

func foreign(e *Evidence) sign {
	if !e.OTP.Foreign {
		return sign{}
	}
	return sign{evidence: nameOf(e.OTP.Held.Token) + ": the key fits and the private ID is another"}
}

// counted says what the counters of an OTP that opened say, unless it was accepted.
func (e *Evidence) counted(want validate.Reason) bool {
	return e.OTP.Opened && !e.Accepted && e.OTP.Order == want && !e.OTP.Marks.Copied
}

func repeat(e *Evidence) sign {
	if !e.counted(validate.ReasonSame) {
		return sign{}
	}
	return sign{evidence: fmt.Sprintf("counters %d/%d are those of the last one, of %s", e.OTP.Content.UseCounter, e.OTP.Content.SessionCounter, when(e.OTP.Row.Counters.At))}
}

func older(e *Evidence) sign {
	if !e.counted(validate.ReasonOlder) {
		return sign{}
	}
	n := e.OTP.Row.Counters
	return sign{evidence: fmt.Sprintf("counters %d/%d, the last were %d/%d of %s", e.OTP.Content.UseCounter, e.OTP.Content.SessionCounter, n.Use, n.Session, when(n.At))}
}

func blocked(e *Evidence) sign {
	h, ok := e.held()
	t := h.Token
	if !ok || e.OTP.known() && !e.OTP.Opened && !e.OTP.Gone {
		return sign{}
	}
	opened := e.OTP.known()
	gone := sign{helper: "Revoked for good: it is not restored. Give another one.", action: "tokendesk token show QUERY"}
	switch {
	case t.State.Blocked():
		text := fmt.Sprintf("%s is %s (%s) since %s", nameOf(t), t.State, t.Reason, when(t.BlockedAt))
		if !t.Until.IsZero() {
			text += ", until " + when(t.Until)
		}
		return sign{evidence: text}
	case opened && t.State == token.Revoked:
		gone.evidence, gone.weak = nameOf(t)+" was revoked", e.OTP.Instead != nil
	case opened && h.Credential.State == token.Revoked && e.OTP.Live == 0:
		gone.evidence = "its credential on " + nameOf(t) + " was revoked"
	}
	return gone
}

func notProven(e *Evidence) sign {
	h, ok := e.held()
	c := h.Credential
	switch {
	case !ok || e.OTP.known() && !e.OTP.Opened || h.Token.State.Blocked():
	case c.State == token.Pending:
		return sign{evidence: nameOf(h.Token) + " was not confirmed by a code yet"}
	case h.Token.State == token.Pending:
		return sign{evidence: nameOf(h.Token) + " was not proven yet"}
	case e.OTP.Opened && e.OTP.Row.State.Validates() && e.OTP.Row.Token.Validates() && !e.OTP.Row.Enabled && e.OTP.Row.Caution == 0:
		return sign{evidence: "a write of its slot was interrupted and is not settled"}
	}
	return sign{}
}

// untrusted is a fresh one-time password whose credential is as a backup has it: see package validate, Cautious.
func untrusted(e *Evidence) sign {
	h, ok := e.held()
	left := h.Credential.Caution
	if e.OTP.known() {
		left = e.OTP.Row.Caution // as it was when the decision was made
	}
	fresh := e.counted(validate.ReasonAccepted)
	if _, fits := e.usable(right, ahead, last); fits && !e.OTP.known() {
		fresh = !e.Accepted
	}
	if !ok || left == 0 || !fresh || !h.Credential.State.Validates() || !h.Token.State.Validates() {
		return sign{}
	}
	return sign{evidence: fmt.Sprintf("%s: a backup was put back since; %d of %d fresh one-time passwords were seen before this one", nameOf(h.Token), validate.Cautious-left, validate.Cautious)}
}

func clone(e *Evidence) sign {
	if !e.OTP.Opened || !e.OTP.Marks.Copied {
		return sign{}
	}
	return sign{evidence: "counters and clock do not belong to one key: two keys seem to have this secret"}
}

func nearEnd(e *Evidence) sign {
	if !e.OTP.Opened || !e.OTP.Marks.NearEnd {
		return sign{}
	}
	return sign{evidence: fmt.Sprintf("use counter %d of 32767", e.OTP.Content.UseCounter), weak: !e.Accepted && e.OTP.Order != validate.ReasonAccepted}
}
