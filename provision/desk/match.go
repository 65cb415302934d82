package desk

import (
	"context"
	"errors"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// candidate is a HOTP or TOTP credential that codes are held against.
type candidate struct {
	token.Credential
	model     token.Model
	generator oath.Generator
	row       validate.Row
	now       time.Time
}

func newCandidate(m token.Model, c token.Credential, now time.Time) (candidate, error) {
	g, err := oath.New(c.Secrets.Key, oath.Hash(c.Settings.Hash), c.Settings.Digits)
	if err == nil && c.Kind == token.TOTP && c.Settings.Period < time.Second {
		err = errors.New("a period of less than a second")
	}
	if err != nil {
		return candidate{}, errors.Join(token.ErrIntegrity, err)
	}
	return candidate{c, m, g, validate.Row{Counters: c.Counters}, now}, nil
}

// one looks for a code where it should be.
func (c candidate) one(code string) (moving int64, how validate.Match) {
	if c.Kind == token.HOTP {
		return validate.MatchHOTP(c.generator, c.row, validate.HOTPWindow, code)
	}
	return validate.MatchTOTP(c.generator, c.row, c.Settings.Period, validate.Window(c.model, c.Counters, c.now), c.now, code)
}

// two looks for two codes that follow each other as far away as a resync goes.
func (c candidate) two(first, second string) (moving int64, how validate.Match) {
	if c.Kind == token.HOTP {
		return validate.MatchPairHOTP(c.generator, c.row, first, second)
	}
	return validate.MatchPairTOTP(c.generator, c.row, c.Settings.Period, c.now, first, second)
}

// far reports whether one code fits as far away as a resync goes: only a second one can tell whether that is chance.
func (c candidate) far(code string) bool {
	how := validate.NoMatch
	if c.Kind == token.HOTP {
		_, how = validate.MatchHOTP(c.generator, c.row, validate.ResyncWindow, code)
	} else {
		window := int(validate.ResyncTime / c.Settings.Period)
		_, how = validate.MatchTOTP(c.generator, c.row, c.Settings.Period, window, c.now, code)
	}
	return how == validate.Fresh
}

// before reports whether a step was over by since, for a clock as far off as a single code's may be.
func (c candidate) before(step int64, since time.Time) bool {
	if c.Kind != token.TOTP || since.IsZero() {
		return false
	}
	period := c.Settings.Period
	window := int64(validate.Window(c.model, c.Counters, c.now))
	return step < oath.Step(since, period)+validate.Offset(c.Counters.Clock, period, since)-window
}

// counters are what one or two codes of these digits raise the stored ones to, if they are Proven.
func (c candidate) counters(codes []string, p purpose) (token.Counters, Proof) {
	n := token.Counters{Use: -1, Session: -1, Moving: -1, At: c.now, Clock: c.Counters.Clock}
	pair := len(codes) > 1
	if p.pair && !pair {
		return n, NeedSecond
	}
	how := validate.NoMatch
	if pair {
		if n.Moving, how = c.two(codes[0], codes[1]); how != validate.Fresh {
			_, how = c.one(codes[1]) // used already?
			if how == validate.Fresh {
				how = validate.NoMatch
			}
		}
	} else {
		n.Moving, how = c.one(codes[0])
	}
	switch {
	case how == validate.Spent, how == validate.Fresh && c.before(n.Moving, p.since):
		return n, NotNewer
	case how == validate.NoMatch && !pair && c.far(codes[0]):
		return n, NeedSecond
	case how == validate.NoMatch:
		return n, WrongCode
	case c.State == token.Pending && !p.pending:
		return n, NotIssued
	}
	if c.Kind == token.TOTP && (pair || p.measure) {
		n.Clock = validate.Measure(n.Clock, c.Settings.Period, n.Moving, c.now)
	}
	return n, Proven
}

// whose looks for the token in stock that a code is of, which t's code is not.
func (d *Desk) whose(ctx context.Context, t token.Token, codes []string) (token.Token, Proof, error) {
	for _, r := range validate.Readings(codes[0]) {
		c, err := d.Store.Find(ctx, r.PublicID)
		if errors.Is(err, token.ErrNotFound) {
			continue
		}
		if err != nil {
			return t, "", err
		}
		if c.Token == t.ID { // it says so, and does not open
			return t, WrongCode, nil
		}
		other, err := d.again(ctx, token.Token{ID: c.Token})
		return other, OtherToken, err
	}
	code, ok := codeDigits(codes[0])
	if !ok {
		return t, OtherToken, nil
	}
	list, err := d.Store.OATH(ctx, 0)
	defer destroyAll(list)
	if err != nil {
		return t, "", err
	}
	now := d.Now()
	var found token.ID
	for _, c := range list {
		if c.Token == t.ID {
			continue
		}
		other, err := newCandidate(token.Hardware, c, now)
		if err != nil {
			return t, "", err
		}
		if _, how := other.one(code); how == validate.Fresh {
			if found != 0 && found != c.Token { // by chance: say nothing
				return t, WrongCode, nil
			}
			found = c.Token
		}
	}
	if found == 0 {
		return t, WrongCode, nil
	}
	other, err := d.again(ctx, token.Token{ID: found})
	return other, OtherToken, err
}
