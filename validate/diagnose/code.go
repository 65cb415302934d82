package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// How far a code is looked for. Source: PRODUCT.md §3.h (D21 to D24), reference validation-protocol.md §15.
const (
	farAhead  = validate.ResyncWindow // HOTP codes
	farBehind = 1000
	drift     = 20               // steps of TOTP either way
	quarter   = 15 * time.Minute // time zones are multiples of it
	zones     = 14 * time.Hour / quarter
	around    = 2  // steps either way of each
	maxCodes  = 50 // credentials of one person that are tried
)

// How a code fits a credential.
type how string

const (
	right  how = "in the window"
	last   how = "that of the last one accepted"
	behind how = "before the last one accepted"
	ahead  how = "beyond the window"
	off    how = "a few steps outside the window"
	zone   how = "whole quarters of an hour away"
	params how = "with other parameters"
)

// Code is what is known about a text that may be a HOTP or TOTP code of the subject.
type Code struct {
	Tried  int    // credentials with a secret
	Layout string // the digits were found by another layout's digit row
	Glued  bool   // the digits stand at the end of something else, or before it
	Fits   []Fit  // best first
}

// Fit is one credential that makes the code under some hypothesis.
type Fit struct {
	Held   Held
	How    how
	Steps  int64         // from the next code (HOTP) or the present step (TOTP); negative: behind
	Offset time.Duration // TOTP: how much the token's clock is ahead
	Params string        // "sha1, 6 digits, 30 s"
}

// readCode tries all hypotheses on all HOTP and TOTP credentials of the subject, in any state.
func (d *Doctor) readCode(ctx context.Context, typed string, s Subject) (Code, error) {
	var c Code
	codes, ends := codesIn(typed)
	if len(codes) == 0 && len(ends) == 0 {
		return c, nil
	}
	for _, h := range s.Held {
		if kind := h.Credential.Kind; kind != token.HOTP && kind != token.TOTP || c.Tried == maxCodes {
			continue
		}
		secrets, err := d.Store.CredentialSecrets(ctx, h.Credential.ID)
		if err != nil && !errors.Is(err, token.ErrNotFound) {
			return c, fmt.Errorf("read secrets: %w", err)
		}
		if secrets.Key.Len() == 0 {
			continue
		}
		c.Tried++
		c.try(trial{h, secrets, d.Now()}, codes, ends)
		secrets.Destroy()
	}
	slices.SortStableFunc(c.Fits, func(a, b Fit) int { return a.rank() - b.rank() })
	return c, nil
}

// candidate is digits that a text may mean, and on which layouts.
type candidate struct{ digits, layout string }

// codesIn are the codes that a text may be; ends are the digits at its end and at its beginning, if there is more than a code.
func codesIn(typed string) (codes []candidate, ends []end) {
	clean, _ := modhex.Clean(typed[:min(len(typed), maxText)])
	t := Text{Chars: len([]rune(clean))}
	if only(clean, "0123456789") {
		if t.isCode() {
			codes = append(codes, candidate{digits: clean})
		}
	} else if t.isCode() {
		for _, v := range modhex.DigitVariants(clean) {
			codes = append(codes, candidate{v.Text, modhex.Names(v.Layouts)})
		}
	}
	if n := len(clean) - len(strings.TrimRight(clean, "0123456789")); n >= oath.MinDigits {
		ends = append(ends, end{clean[len(clean)-n:], false})
	}
	if n := len(clean) - len(strings.TrimLeft(clean, "0123456789")); n >= oath.MinDigits {
		ends = append(ends, end{clean[:n], true})
	}
	return codes, ends
}

// end is digits at one end of a text.
type end struct {
	digits string
	first  bool // at its beginning
}

// code is the n outermost of them.
func (e end) code(n int) string {
	if e.first {
		return e.digits[:n]
	}
	return e.digits[len(e.digits)-n:]
}

// try adds the best fit of a credential.
func (c *Code) try(t trial, codes []candidate, ends []end) {
	for _, code := range codes {
		if f, ok := t.fit(code.digits); ok {
			c.Fits, c.Layout = append(c.Fits, f), code.layout
			return
		}
	}
	n := t.h.Credential.Settings.Digits
	for _, e := range ends {
		if len(e.digits) < n {
			continue
		}
		if f, ok := t.fit(e.code(n)); ok && f.How == right { // not more: too much would fit
			c.Fits, c.Glued = append(c.Fits, f), true
			return
		}
	}
}

// trial is one credential under hypotheses.
type trial struct {
	h       Held
	secrets token.Secrets
	now     time.Time
}

// fit is the first hypothesis that holds, likely ones first.
func (t trial) fit(code string) (Fit, bool) {
	set := t.h.Credential.Settings
	g, err := oath.New(t.secrets.Key, oath.Hash(set.Hash), set.Digits)
	switch {
	case err != nil:
		return Fit{}, false
	case len(code) != set.Digits:
	case t.h.Credential.Kind == token.HOTP:
		if f, ok := t.hotp(g, code); ok {
			return f, true
		}
	case set.Period >= time.Second:
		if f, ok := t.totp(g, set.Period, code); ok {
			return f, true
		}
	}
	return t.otherParams(code)
}

func (t trial) hotp(g oath.Generator, code string) (Fit, bool) {
	next := t.h.Credential.Counters.Moving + 1
	for i := int64(0); i <= farAhead; i++ {
		if i <= farBehind && next-1-i >= 0 && g.Code(next-1-i) == code {
			return Fit{Held: t.h, How: behind, Steps: -1 - i}, true
		}
		if g.Code(next+i) == code {
			how := ahead
			if i < validate.HOTPWindow {
				how = right
			}
			return Fit{Held: t.h, How: how, Steps: i}, true
		}
	}
	return Fit{}, false
}

func (t trial) totp(g oath.Generator, period time.Duration, code string) (Fit, bool) {
	n := t.h.Credential.Counters
	here := oath.Step(t.now, period)
	expected := validate.Offset(n.Clock, period, t.now)
	window := int64(validate.Window(t.h.Token.Model, n, t.now))
	fit := func(steps int64, how how) (Fit, bool) {
		if here+steps < 0 || g.Code(here+steps) != code {
			return Fit{}, false
		}
		if here+steps <= n.Moving {
			how = behind
			if here+steps == n.Moving {
				how = last
			}
		}
		return Fit{Held: t.h, How: how, Steps: steps, Offset: time.Duration(steps) * period}, true
	}
	for i := range int64(drift) + 1 { // the nearest first
		for _, steps := range []int64{expected + i, expected - i} {
			how := right
			if i > window {
				how = off
			}
			if f, ok := fit(steps, how); ok {
				return f, true
			}
		}
	}
	if n.Moving >= 0 {
		if f, ok := fit(n.Moving-here, last); ok {
			return f, true
		}
	}
	for q := int64(1); q <= int64(zones); q++ {
		for _, sign := range []int64{1, -1} {
			for i := -int64(around); i <= around; i++ {
				if f, ok := fit(expected+sign*int64(time.Duration(q)*quarter/period)+i, zone); ok {
					return f, true
				}
			}
		}
	}
	return Fit{}, false
}

// otherParams tries what apps do that ignore the parameters: other hashes, digits and periods, in the usual window.
func (t trial) otherParams(code string) (Fit, bool) {
	set := t.h.Credential.Settings
	for _, hash := range []oath.Hash{oath.SHA1, oath.SHA256, oath.SHA512} {
		g, err := oath.New(t.secrets.Key, hash, len(code))
		if err != nil {
			return Fit{}, false
		}
		for _, period := range []time.Duration{30 * time.Second, time.Minute} {
			f := Fit{Held: t.h, How: params, Params: fmt.Sprintf("%s, %d digits", hash, len(code))}
			low, high := t.h.Credential.Counters.Moving+1, t.h.Credential.Counters.Moving+validate.HOTPWindow
			if t.h.Credential.Kind == token.TOTP {
				low = oath.Step(t.now, period) - 1
				high = low + 2
				f.Params += fmt.Sprintf(", %d s", int(period.Seconds()))
			}
			for m := max(0, low); m <= high; m++ {
				if g.Code(m) == code && (string(hash) != set.Hash || len(code) != set.Digits || t.h.Credential.Kind == token.TOTP && period != set.Period) {
					return f, true
				}
			}
		}
	}
	return Fit{}, false
}

// rank puts credentials that count before dead ones, and likely hypotheses before others.
func (f Fit) rank() int {
	n := slices.Index([]how{right, last, behind, ahead, off, zone, params}, f.How)
	if f.Held.revoked() {
		n += 100
	}
	return n
}

// before undoes for a blocked token's code, which is spent without being accepted, what the check has done to its counter.
func (c *Code) before(checked *validate.Checked) {
	if checked == nil || checked.Credential == 0 || checked.Reason == validate.ReasonSame {
		return
	}
	for i, f := range c.Fits {
		if f.Held.Credential.ID == checked.Credential && (f.How == last || f.How == behind) {
			c.Fits[i].How = right
		}
	}
}
