package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// hotpWindow is how many codes ahead of the expected one a press may be: somebody may have touched the key unseen.
const hotpWindow = 20

// candidate is a credential that a touch may turn out to be of.
type candidate struct {
	credential *token.Credential
	config     ykslot.Config
	cipher     yubiotp.Cipher // of a Yubico OTP
	read       ykslot.ScanMap // by which presses are read
}

// candidates are those of the credentials that type something on dev and have secrets; others and nil are left out.
func candidates(dev Device, cs ...*token.Credential) ([]candidate, error) {
	var out []candidate
	var read ykslot.ScanMap
	if m, ok := dev.(Mapped); ok {
		read = m.ScanMap()
	}
	for _, c := range cs {
		if c == nil || c.Kind == token.ChallengeResponse || c.Secrets.Key.Len() == 0 {
			continue
		}
		one := candidate{credential: c, read: read}
		var err error
		if c.Kind == token.YubicoOTP {
			one.cipher, err = yubiotp.NewCipher(c.Secrets.Key, c.Secrets.PrivateID)
		} else {
			one.config, err = SlotConfig(*c)
		}
		if err != nil {
			destroy(out)
			return nil, fmt.Errorf("credential %d: %w", c.ID, err)
		}
		out = append(out, one)
	}
	return out, nil
}

// due is how many characters a press has at least; 0: of a Yubico OTP.
func due(cs []candidate) int {
	least := 0
	for _, c := range cs {
		if text, ok := c.config.PressBy(c.read, 0); ok && c.credential.Kind != token.YubicoOTP {
			if n := text.Len(); least == 0 || n < least {
				least = n
			}
			text.Destroy()
		}
	}
	return least
}

// identify says whose output was typed, and the counters that it shows: nil if it is none of the candidates'.
func (r *Runner) identify(typed string, cs []candidate) (*token.Credential, token.Counters, Mispress) {
	why := OtherOutput
	for _, c := range cs {
		n := token.Fresh()
		n.At = r.Now()
		switch c.credential.Kind {
		case token.YubicoOTP:
			t, how := c.open(typed)
			if how == "" {
				return c.credential, r.counters(t), ""
			}
			if why == OtherOutput || how == NotDecrypting {
				why = how
			}
		case token.HOTP:
			var ok bool
			if n.Moving, ok = c.config.MatchPress(typed, max(c.credential.Counters.Moving+1, c.credential.Settings.FirstMoving), hotpWindow); ok {
				return c.credential, n, ""
			}
		default:
			if c.static(typed) {
				return c.credential, n, ""
			}
		}
	}
	return nil, token.Counters{}, why
}

// open takes a Yubico OTP out of what was typed around it.
func (c candidate) open(typed string) (yubiotp.Token, Mispress) {
	f := FlagsOf(c.credential.Settings)
	text := strings.ReplaceAll(typed, "\t", "")
	if f.Config&ykslot.SendRef != 0 {
		text = strings.TrimPrefix(text, modhex.Alphabet)
	}
	id, block, err := yubiotp.Split(text)
	switch {
	case err != nil:
		return yubiotp.Token{}, OtherOutput
	case string(c.credential.PublicID.Bytes()) != string(id):
		return yubiotp.Token{}, OtherKey
	}
	t, verdict := c.cipher.Open(block)
	if verdict != yubiotp.OK {
		return t, NotDecrypting
	}
	return t, ""
}

// static compares a password with the predicted one. Neither is shown.
func (c candidate) static(typed string) bool {
	want, ok := c.config.PressBy(c.read, 0)
	if !ok {
		return false
	}
	got := secret.New([]byte(typed))
	defer want.Destroy()
	defer got.Destroy()
	return want.Equal(got)
}

// prove waits for the output of the entry's new credential, or asks it a challenge, and returns the counters.
func (r *Runner) prove(ctx context.Context, dev Device, e token.Entry) (token.Counters, error) {
	if e.Credential.Kind == token.ChallengeResponse {
		n := token.Fresh()
		n.At = r.Now()
		ok, err := r.answers(ctx, dev, e.Credential)
		if err == nil && !ok {
			err = ErrWrongAnswer
		}
		return n, err
	}
	cs, err := candidates(dev, &e.Credential)
	if err != nil {
		return token.Counters{}, err
	}
	defer destroy(cs)
	var counters token.Counters
	err = r.eachPress(ctx, dev, StepTouch, due(cs), func(typed string) bool {
		c, n, why := r.identify(typed, cs)
		if c == nil {
			r.mispressed(why)
			return false
		}
		counters = n
		return true
	})
	return counters, err
}

// eachPress passes step, and calls yield with what each touch types until it returns true. ErrNoTouch: TouchWait passed.
func (r *Runner) eachPress(ctx context.Context, dev Device, step Step, chars int, yield func(string) bool) error {
	r.passed(step)
	wait, cancel := r.touchWait(ctx)
	defer cancel()
	for {
		typed, err := dev.Press(wait, chars)
		switch {
		case err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			return ErrNoTouch
		case err != nil:
			return err
		case yield(typed):
			return nil
		}
	}
}

// touchWait is for how long a touch is waited for that was asked for just now.
func (r *Runner) touchWait(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.TouchWait > 0 {
		return context.WithTimeout(ctx, r.TouchWait)
	}
	return ctx, func() {}
}

func (r *Runner) mispressed(why Mispress) {
	if r.Mispress != nil {
		r.Mispress(why)
	}
}

func (r *Runner) counters(t yubiotp.Token) token.Counters {
	return token.Counters{
		Use: int(t.UseCounter), Session: int(t.SessionCounter), Timestamp: int(t.Timestamp), Moving: -1, At: r.Now(),
	}
}

func destroy(cs []candidate) {
	for _, c := range cs {
		if c.credential.Kind == token.YubicoOTP {
			c.cipher.Destroy()
			continue
		}
		DestroyConfig(c.config)
	}
}
