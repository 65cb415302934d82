package provision

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"errors"
	"io"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// ErrWrongAnswer is the cause of an UncertainError when the slot answers a challenge otherwise than the written key would.
var ErrWrongAnswer = errors.New("the slot does not answer a challenge with the key that was written")

// hmacChallengeLen is the length of our challenges where it is free.
const hmacChallengeLen = 32

// answers asks the slot a random challenge and compares the answer with what the credential's key gives. A slot of another mode, which
// refuses, is false.
func (r *Runner) answers(ctx context.Context, dev Device, c token.Credential) (bool, error) {
	var wait context.Context // nil: no touch was asked for
	cancel := func() {}
	defer func() { cancel() }()
	touch := func(time.Duration) error {
		if wait == nil {
			r.passed(StepTouch)
			wait, cancel = r.touchWait(ctx)
		}
		return wait.Err()
	}
	ok, err := r.answersOnce(ctx, dev, c, touch)
	switch {
	case refused(err):
		return false, nil
	case errors.Is(err, ykslot.ErrTouchTimeout), err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return false, ErrNoTouch
	}
	return ok, err
}

func (r *Runner) answersOnce(ctx context.Context, dev Device, c token.Credential, touch ykslot.TouchFunc) (bool, error) {
	f, slot := FlagsOf(c.Settings), ykslot.Slot(c.Slot)
	if f.Mode() == ykslot.ModeChallengeYubico {
		var challenge [ykslot.YubicoChallengeLen]byte
		if _, err := io.ReadFull(r.Rand, challenge[:]); err != nil {
			return false, err
		}
		answer, err := dev.ChallengeYubico(ctx, slot, challenge, touch)
		if err != nil {
			return false, err
		}
		defer answer.Destroy()
		return opens(c.Secrets.Key, challenge, answer)
	}
	fixed := f.Config&ykslot.HMACLessThan == 0
	challenge := make([]byte, hmacChallengeLen)
	if fixed {
		challenge = make([]byte, ykslot.MaxChallenge)
	}
	if _, err := io.ReadFull(r.Rand, challenge); err != nil {
		return false, err
	}
	padded, err := ykslot.PadYubikit.Pad(challenge)
	if err != nil {
		return false, err
	}
	answer, err := dev.ChallengeHMAC(ctx, slot, challenge, ykslot.PadYubikit, touch)
	if err != nil {
		return false, err
	}
	defer answer.Destroy()
	mac := hmac.New(sha1.New, c.Secrets.Key.Reveal())
	mac.Write(ykslot.Message(padded, fixed))
	return hmac.Equal(mac.Sum(nil), answer.Reveal()), nil
}

// opens reports whether an answer is a Yubico OTP block of the key around the challenge. Source: reference yubikey-otp.md §3.9.
func opens(key secret.Bytes, challenge [ykslot.YubicoChallengeLen]byte, answer secret.Bytes) (bool, error) {
	cipher, err := yubiotp.NewCipher(key, secret.Copy(challenge[:]))
	if err != nil {
		return false, err
	}
	defer cipher.Destroy()
	if answer.Len() != yubiotp.BlockLen {
		return false, nil
	}
	_, verdict := cipher.Open([yubiotp.BlockLen]byte(answer.Reveal()))
	return verdict == yubiotp.OK, nil
}
