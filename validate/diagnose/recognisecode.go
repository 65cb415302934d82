package diagnose

import (
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// The recognisers of HOTP and TOTP codes.

func otherEntry(e *Evidence) sign {
	if o := e.OTP; o.Opened && o.Mine && e.Subject.Token != 0 && o.Held.Token.ID != e.Subject.Token {
		return sign{evidence: "it is of " + nameOf(o.Held.Token) + " of the same person"}
	}
	f, ok := e.fit(right, last, behind, ahead, off, zone)
	proven := !f.Held.Credential.ProvenAt.IsZero()
	dead := f.Held.revoked()
	if !ok || f.Held.Token.State.Blocked() || !(dead && proven) && !(e.other(f) && !dead && f.Held.Credential.State != token.Pending) {
		return sign{}
	}
	if dead {
		return sign{evidence: "it is a code of " + nameOf(f.Held.Token) + ", which was revoked"}
	}
	return sign{evidence: "it is a code of " + nameOf(f.Held.Token) + " of the same person"}
}

func hotpAhead(e *Evidence) sign {
	f, ok := e.usable(ahead)
	if !ok {
		return sign{}
	}
	return sign{evidence: fmt.Sprintf("it is the code of %s after %d more presses", nameOf(f.Held.Token), f.Steps)}
}

func hotpBehind(e *Evidence) sign {
	f, ok := e.usable(behind)
	if !ok || f.Held.Credential.Kind != token.HOTP {
		return sign{}
	}
	return sign{evidence: fmt.Sprintf("it was used already, %d codes ago", -f.Steps-1)}
}

func smallDrift(e *Evidence) sign {
	f, ok := e.usable(off)
	if !ok {
		return sign{}
	}
	return sign{evidence: "the clock of " + nameOf(f.Held.Token) + " is " + offset(f.Offset)}
}

func wholeHours(e *Evidence) sign {
	f, ok := e.usable(zone)
	if !ok {
		return sign{}
	}
	return sign{evidence: "the clock of " + nameOf(f.Held.Token) + " is " + offset(f.Offset)}
}

func sameStep(e *Evidence) sign {
	f, ok := e.usable(last, behind)
	if !ok || f.Held.Credential.Kind != token.TOTP {
		return sign{}
	}
	period := f.Held.Credential.Settings.Period
	next := time.Unix((oath.Step(e.Now, period)+1)*int64(period/time.Second), 0).Sub(e.Now)
	return sign{evidence: fmt.Sprintf("this code or a later one was used at %s; the next comes in %d s", when(f.Held.Credential.Counters.At), int(next.Seconds()))}
}

func parameters(e *Evidence) sign {
	f, ok := e.usable(params)
	if !ok {
		return sign{}
	}
	return sign{evidence: fmt.Sprintf("%s makes it with %s", nameOf(f.Held.Token), f.Params)}
}

func expiredSetup(e *Evidence) sign {
	f, ok := e.fit(right, last, behind, ahead, off, zone, params)
	dead := f.Held.revoked()
	if !ok || !dead || !f.Held.Credential.ProvenAt.IsZero() {
		return sign{}
	}
	return sign{evidence: "it is a code of " + nameOf(f.Held.Token) + ", which was never confirmed and has expired"}
}

func nothingFits(e *Evidence) sign {
	switch {
	case e.Accepted || e.Text.Empty || len(e.Code.Fits) > 0:
		return sign{}
	case e.Code.Tried > 0:
		return sign{evidence: fmt.Sprintf("%d credentials tried, in wide windows and with other parameters", e.Code.Tried), weak: true}
	case e.Reason == validate.ReasonNobody || e.Text.Digits && e.Text.isCode() && !e.Subject.Known():
		return sign{evidence: "no person or token was named, or none has that name", weak: true,
			helper: "Ask for the account, or for the number on the token.", action: "tokendesk person list"}
	case e.Text.Digits && e.Text.isCode() && !e.has(token.YubicoOTP):
		return sign{evidence: "there is no credential that it could be of", weak: true, helper: "See which tokens the person has.", action: "tokendesk person show ACCOUNT"}
	case e.Text.Spoken && e.Reason == validate.ReasonWrong:
		return sign{evidence: "no temporary or recovery code of theirs is that one", weak: true, helper: "Have it read out letter by letter, or give a new one.", action: "tokendesk code temp ACCOUNT"}
	case e.Reason == validate.ReasonNotAllowed || e.Reason == validate.ReasonBudget:
	case e.OTP.Opened && e.OTP.Row.Enabled && e.OTP.Order == validate.ReasonAccepted && e.Reason != "" && !e.OTP.Tail:
		return sign{evidence: "nothing speaks against it now", weak: true, helper: "Have the key touched again."}
	}
	return sign{}
}

// locked does not hold for the short delay that a wrong code just began: it is what comes of the cause.
func locked(e *Evidence) sign {
	t := e.throttle()
	permitted, until := t.Permits(e.Now)
	stopped := e.Reason == validate.ReasonLocked || e.Reason == validate.ReasonThrottled
	switch {
	case e.OTP.known() || e.Accepted || !e.Text.isCode():
	case permitted && stopped: // it has ended since
		return sign{evidence: string(e.Reason)}
	case permitted || e.Reason != "" && !stopped && !t.Locked(e.Now):
	default:
		return sign{evidence: fmt.Sprintf("%d wrong codes in a row; the next counts from %s on", t.Failures, when(until)), weak: e.Reason != "" && !stopped}
	}
	return sign{}
}

func validity(e *Evidence) sign {
	switch e.Reason {
	case validate.ReasonExpired, validate.ReasonUsedUp, validate.ReasonOtherClient, validate.ReasonWithdrawn:
		return sign{evidence: "temporary or recovery code: " + string(e.Reason)}
	}
	return sign{}
}
