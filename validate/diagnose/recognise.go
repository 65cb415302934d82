package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// sign is what a recogniser says. The zero sign: the cause does not hold.
type sign struct {
	evidence string // for staff
	public   string // what may be shown before a first factor: a function of the text alone; "": nothing
	weak     bool   // likelier causes come first
}

// both is evidence that anybody may see.
func both(text string) sign { return sign{evidence: text, public: text} }

func empty(e *Evidence) sign {
	if !e.Text.Empty || e.Status != "" { // or it was not asked about
		return sign{}
	}
	if len(e.Text.Changes) > 0 {
		return both("there is nothing but " + strings.Join(e.Text.Changes, " and "))
	}
	return both("the field is empty")
}

func missing(e *Evidence) sign {
	if !e.Text.ModHex || e.Text.Chars <= idChars || e.Text.Chars >= otpChars {
		return sign{}
	}
	s := both(fmt.Sprintf("%d characters, a key types %d", e.Text.Chars, otpChars))
	if e.OTP.Opened { // a shorter public ID
		s.evidence = ""
	}
	s.weak = e.OTP.known()
	return s
}

func several(e *Evidence) sign {
	if e.Text.OTPs < 2 {
		return sign{}
	}
	return both(fmt.Sprintf("%d one-time passwords in one text", e.Text.OTPs))
}

func upper(e *Evidence) sign {
	if !e.Text.Upper || e.Text.Chars <= idChars {
		return sign{}
	}
	s := both("capital letters, otherwise in order")
	s.weak = !e.Accepted
	return s
}

func layout(e *Evidence) sign {
	var s sign
	switch {
	case e.OTP.Opened && e.OTP.Layout != "":
		s.evidence = "it decrypts if the keyboard is " + e.OTP.Layout + "; CRC and private ID are right"
	case e.Text.Layouts != "" && !e.OTP.Opened:
		s.evidence = "of the right length and alphabet, if the keyboard is " + e.Text.Layouts
		s.weak = e.OTP.known()
	}
	if e.Text.Layouts != "" {
		s.public = "keyboard seems to be " + e.Text.Layouts
		if e.Text.Unclear {
			s.public += ", on which nobody can tell what was typed"
			s.evidence += "; on it nobody can tell what was typed"
		}
	}
	return s
}

func digitRow(e *Evidence) sign {
	var s sign
	if e.Code.Layout != "" {
		s.evidence = "it is a code of " + nameOf(e.Code.Fits[0].Held.Token) + " if the keyboard is " + e.Code.Layout
	}
	if e.Text.DigitRows != "" {
		s.public = "the digit row may have another layout: " + e.Text.DigitRows
		if s.evidence == "" {
			s.evidence, s.weak = s.public, len(e.Code.Fits) > 0
		}
	}
	return s
}

func cleaned(e *Evidence) sign {
	if e.Text.Empty || len(e.Text.Changes) == 0 {
		return sign{}
	}
	odd := slices.ContainsFunc(e.Text.Changes, func(c string) bool { return c != modhex.LineBreak && c != modhex.Blanks })
	if !odd && !e.Text.form() {
		return sign{}
	}
	s := both("it has " + strings.Join(e.Text.Changes, ", "))
	s.weak = !odd
	return s
}

func otherKind(e *Evidence) sign {
	t := e.Text
	code := t.Digits && t.isCode()
	switch {
	case !t.form() && !t.Empty:
		return both("neither a one-time password of a key nor a code of 6 to 8 digits")
	case t.ModHex && t.Chars <= idChars && !e.OTP.Parsed:
		return both("the public ID of a key at most: the changing part is missing")
	case !e.Subject.Known() || len(e.Code.Fits) > 0 || e.OTP.known():
	case code && e.has(token.YubicoOTP) && !e.has(token.HOTP, token.TOTP):
		return sign{evidence: "a code of digits, but there is only a key that types letters"}
	case e.OTP.Parsed && e.has(token.HOTP, token.TOTP) && !e.has(token.YubicoOTP):
		return sign{evidence: "typed by a key, but there are only tokens that show digits"}
	}
	return sign{}
}

func wrongField(e *Evidence) sign {
	switch {
	case e.Text.Glued:
		return both("a one-time password is glued to something else")
	case e.Code.Glued:
		return sign{evidence: "the digits at the end are a code of " + nameOf(e.Code.Fits[0].Held.Token)}
	case e.InName:
		return sign{evidence: "the user name has the form of a one-time password"}
	}
	return sign{}
}

func unknownID(e *Evidence) sign {
	if !e.OTP.Parsed || e.OTP.known() || e.Text.OTPs > 1 {
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
	if !e.OTP.known() || e.OTP.Opened || e.OTP.Foreign {
		return sign{}
	}
	return sign{evidence: nameOf(e.OTP.Held.Token) + " has this public ID, but the rest does not decrypt with its key"}
}

func foreign(e *Evidence) sign {
	if !e.OTP.Foreign {
		return sign{}
	}
	return sign{evidence: nameOf(e.OTP.Held.Token) + ": the key fits and the private ID is another"}
}

func otherEntry(e *Evidence) sign {
	if o := e.OTP; o.Opened && o.Mine && e.Subject.Token != 0 && o.Held.Token.ID != e.Subject.Token {
		return sign{evidence: "it is of " + nameOf(o.Held.Token) + " of the same person"}
	}
	f, ok := e.fit(right, last, behind, ahead, off, zone)
	proven := !f.Held.Credential.ProvenAt.IsZero()
	dead := f.Held.Credential.State == token.Revoked || f.Held.Token.State == token.Revoked
	if !ok || f.Held.Token.State.Blocked() || !(dead && proven) && !(e.other(f) && !dead && f.Held.Credential.State != token.Pending) {
		return sign{}
	}
	if dead {
		return sign{evidence: "it is a code of " + nameOf(f.Held.Token) + ", which was revoked"}
	}
	return sign{evidence: "it is a code of " + nameOf(f.Held.Token) + " of the same person"}
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
	dead := f.Held.Credential.State == token.Revoked || f.Held.Token.State == token.Revoked
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
	case e.Text.Digits && e.Text.isCode() && !e.has(token.YubicoOTP):
		return sign{evidence: "there is no credential that it could be of", weak: true}
	case e.Reason == validate.ReasonNotAllowed || e.Reason == validate.ReasonBudget:
	case e.OTP.Opened && e.OTP.Row.Enabled && e.OTP.Order == validate.ReasonAccepted && e.Reason != "":
		return sign{evidence: "nothing speaks against it now", weak: true}
	}
	return sign{}
}

func blocked(e *Evidence) sign {
	h, ok := e.held()
	t := h.Token
	if !ok || e.OTP.known() && !e.OTP.Opened {
		return sign{}
	}
	switch {
	case t.State.Blocked():
		text := fmt.Sprintf("%s is %s (%s) since %s", nameOf(t), t.State, t.Reason, when(t.BlockedAt))
		if !t.Until.IsZero() {
			text += ", until " + when(t.Until)
		}
		return sign{evidence: text}
	case e.OTP.Opened && t.State == token.Revoked:
		return sign{evidence: nameOf(t) + " was revoked", weak: e.OTP.Instead != nil}
	case e.OTP.Opened && h.Credential.State == token.Revoked && e.OTP.Live == 0:
		return sign{evidence: "its credential on " + nameOf(t) + " was revoked"}
	}
	return sign{}
}

func locked(e *Evidence) sign {
	t := e.throttle()
	ok, until := t.Permits(e.Now)
	if ok || e.OTP.known() || e.Accepted || !e.Text.isCode() {
		return sign{}
	}
	return sign{evidence: fmt.Sprintf("%d wrong codes in a row; the next counts from %s on", t.Failures, when(until))}
}

func validity(e *Evidence) sign {
	switch e.Reason {
	case validate.ReasonExpired, validate.ReasonUsedUp, validate.ReasonOtherClient, validate.ReasonWithdrawn:
		return sign{evidence: "temporary or recovery code: " + string(e.Reason)}
	}
	return sign{}
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
	case e.OTP.Opened && e.OTP.Row.State.Validates() && e.OTP.Row.Token.Validates() && !e.OTP.Row.Enabled:
		return sign{evidence: "a write of its slot was interrupted and is not settled"}
	}
	return sign{}
}

// maxBehind is from when on a clock that is behind the store's newest event is called unhealthy.
const maxBehind = 5 * time.Second

func serverClock(e *Evidence) sign {
	if e.Health.Clock <= maxBehind {
		return sign{}
	}
	return sign{evidence: "the server's clock is " + duration(e.Health.Clock) + " behind the newest event of the store"}
}

func client(e *Evidence) sign {
	switch {
	case e.Status == "BACKEND_ERROR" || e.Status == "NOT_ENOUGH_ANSWERS":
	case e.Status != "" && e.Status != "OK" && e.Status != string(validate.BadOTP) && !strings.HasPrefix(e.Status, "REPLAYED"):
		return sign{evidence: "the request was refused with " + word(e.Status)}
	case e.Reason == validate.ReasonNotAllowed || e.Reason == validate.ReasonBudget:
		return sign{evidence: string(e.Reason)}
	}
	return sign{}
}

// word is a status of a protocol, or nothing that somebody else wrote.
func word(s string) string {
	if len(s) > 30 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return "an unknown status"
	}
	return s
}

func server(e *Evidence) sign {
	switch {
	case e.Health.ReadOnly:
		return sign{evidence: "nothing can be written to the store"}
	case e.Status == "BACKEND_ERROR" || e.Status == "NOT_ENOUGH_ANSWERS":
		return sign{evidence: "the server answered " + e.Status}
	}
	return sign{}
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

// when is a time in a line of evidence.
func when(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05 MST")
}

// offset is how far a clock is off, in words.
func offset(d time.Duration) string {
	if d < 0 {
		return duration(-d) + " behind"
	}
	return duration(d) + " ahead"
}

// duration is like "4 min 30 s".
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	var parts []string
	for _, u := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d -= n * u.size
		}
	}
	if parts == nil {
		return "0 s"
	}
	return strings.Join(parts, " ")
}
