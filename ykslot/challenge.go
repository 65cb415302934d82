package ykslot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// Lengths in bytes. Source: reference yubikey-otp.md §2, §3.9.
const (
	MaxChallenge       = 64
	YubicoChallengeLen = 6
	hmacLen            = 20
	yubicoAnswerLen    = 16
)

// Padding is how a short HMAC challenge is filled up to 64 bytes. A slot for variable length takes away the trailing bytes that
// equal the last one, so a wrong padding changes the message. Source: reference yubikey-otp.md §3.9.
type Padding uint8

// The paddings.
const (
	PadYubikit Padding = iota // zeros, or 01 behind a message that ends in zero: right for 1 to 63 bytes
	PadYkpers                 // zeros: a message that ends in zeros loses them
)

// ParsePadding reads "yubikit" or "ykpers".
func ParsePadding(text string) (Padding, bool) {
	for _, p := range []Padding{PadYubikit, PadYkpers} {
		if p.String() == text {
			return p, true
		}
	}
	return 0, false
}

// String is "yubikit" or "ykpers".
func (p Padding) String() string {
	if p == PadYkpers {
		return "ykpers"
	}
	return "yubikit"
}

// Pad fills a challenge of 1 to 64 bytes up; the error is an *InvalidError. An empty one is refused: sources disagree on what a
// key makes of it.
func (p Padding) Pad(challenge []byte) ([MaxChallenge]byte, error) {
	var out [MaxChallenge]byte
	n := len(challenge)
	if n == 0 || n > MaxChallenge {
		return out, &InvalidError{fmt.Sprintf("a challenge of %d bytes; 1 to %d fit", n, MaxChallenge)}
	}
	copy(out[:], challenge)
	if p == PadYubikit && challenge[n-1] == 0 {
		for i := n; i < MaxChallenge; i++ {
			out[i] = 1
		}
	}
	return out, nil
}

// Message is what a slot computes the HMAC of, given the 64 bytes: all of them, or for variable length without the trailing run
// of bytes that equal the last. Of 64 equal bytes one is left.
func Message(padded [MaxChallenge]byte, fixedLength bool) []byte {
	n := MaxChallenge
	for !fixedLength && n > 0 && padded[n-1] == padded[MaxChallenge-1] {
		n--
	}
	return padded[:max(n, 1):max(n, 1)]
}

// TouchFunc is called while the key waits for a touch, about every 30 ms, with the seconds that it still waits. An error ends the
// wait and is returned.
type TouchFunc func(left time.Duration) error

// ChallengeHMAC sends a challenge of 1 to 64 bytes and returns the 20 bytes of the answer, which the caller destroys. If the slot
// needs a touch, the call waits for it and reports to touch; with a nil touch it does not wait and returns ErrTouchNeeded.
// ErrTouchTimeout: nobody touched it. *RejectedError: the slot is not one for this kind of challenge. *InvalidError and
// *UnsupportedError: before anything was sent.
func (s *Session) ChallengeHMAC(ctx context.Context, slot Slot, challenge []byte, p Padding, touch TouchFunc) (secret.Bytes, error) {
	padded, err := p.Pad(challenge)
	if err != nil {
		return secret.Bytes{}, opError(opChallenge, slot, err)
	}
	return s.challenge(ctx, slot, question{
		cmd: ofSlot(slot, CommandHMAC1, CommandHMAC2), payload: padded[:], answer: hmacLen, touch: touch,
	})
}

// ChallengeYubico sends a challenge of 6 bytes and returns the 16 bytes of the encrypted answer; the rest is as in ChallengeHMAC.
// yubiotp opens the answer: with a slot whose private ID is zero, its private ID is the challenge. Equal challenges give
// different answers.
func (s *Session) ChallengeYubico(ctx context.Context, slot Slot, challenge [YubicoChallengeLen]byte, touch TouchFunc) (secret.Bytes, error) {
	return s.challenge(ctx, slot, question{
		cmd: ofSlot(slot, CommandYubico1, CommandYubico2), payload: challenge[:], answer: yubicoAnswerLen, touch: touch,
	})
}

func (s *Session) challenge(ctx context.Context, slot Slot, q question) (secret.Bytes, error) {
	if !slot.valid() {
		return secret.Bytes{}, opError(opChallenge, slot, &InvalidError{"there is no such slot"})
	}
	if err := FeatureChallengeResponse.Supported(s.version()); err != nil {
		return secret.Bytes{}, opError(opChallenge, slot, err)
	}
	b, err := s.carrier.ask(ctx, q)
	if errors.Is(err, errNoAnswer) {
		err = newRejected(opChallenge, slot, s.Status(), false, false)
	}
	if err != nil {
		return secret.Bytes{}, opError(opChallenge, slot, err)
	}
	return secret.New(b), nil
}

// TOTPChallenge is the challenge that makes a slot compute a TOTP: the number of the time step, 8 bytes big-endian. Source:
// reference yubikey-otp.md §3.9.
func TOTPChallenge(t time.Time, period time.Duration) [8]byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(oath.Step(t, period)))
	return b
}

// TOTPCode makes a code of 6 to 8 digits of a slot's answer to TOTPChallenge; "" of anything else.
func TOTPCode(answer secret.Bytes, digits int) string {
	if answer.Len() != hmacLen || digits < oath.MinDigits || digits > oath.MaxDigits {
		return ""
	}
	return oath.Truncate(answer.Reveal(), digits)
}
