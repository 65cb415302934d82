package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// candidate is a credential that a touch may turn out to be of.
type candidate struct {
	credential *token.Credential
	cipher     yubiotp.Cipher
}

// candidates makes the ciphers of credentials that have secrets; others and nil are left out.
func candidates(cs ...*token.Credential) ([]candidate, error) {
	var out []candidate
	for _, c := range cs {
		if c == nil || c.Kind != token.YubicoOTP || c.Secrets.Key.Len() == 0 {
			continue
		}
		cipher, err := yubiotp.NewCipher(c.Secrets.Key, c.Secrets.PrivateID)
		if err != nil {
			return nil, fmt.Errorf("credential %d: %w", c.ID, err)
		}
		out = append(out, candidate{c, cipher})
	}
	return out, nil
}

// identify says whose OTP was typed: nil if it is none of the candidates'.
func identify(typed string, cs []candidate) (*token.Credential, yubiotp.Token, Mispress) {
	id, block, err := yubiotp.Split(typed)
	if err != nil {
		return nil, yubiotp.Token{}, OtherOutput
	}
	why := OtherKey
	for _, c := range cs {
		if string(c.credential.PublicID.Bytes()) != string(id) {
			continue
		}
		t, verdict := c.cipher.Open(block)
		if verdict == yubiotp.OK {
			return c.credential, t, ""
		}
		why = NotDecrypting
	}
	return nil, yubiotp.Token{}, why
}

// prove waits for an OTP of the entry's new credential and returns its counters.
func (r *Runner) prove(ctx context.Context, dev Device, e token.Entry) (token.Counters, error) {
	cs, err := candidates(&e.Credential)
	if err != nil {
		return token.Counters{}, err
	}
	var counters token.Counters
	err = r.eachPress(ctx, dev, func(typed string) bool {
		c, t, why := identify(typed, cs)
		if c == nil {
			r.mispressed(why)
			return false
		}
		counters = r.counters(t)
		return true
	})
	destroy(cs)
	return counters, err
}

// eachPress calls yield with what each touch types until it returns true. ErrNoTouch: TouchWait passed.
func (r *Runner) eachPress(ctx context.Context, dev Device, yield func(string) bool) error {
	wait := ctx
	if r.TouchWait > 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, r.TouchWait)
		defer cancel()
	}
	r.passed(StepTouch)
	for {
		typed, err := dev.Press(wait)
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
		c.cipher.Destroy()
	}
}
