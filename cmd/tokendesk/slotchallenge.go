package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// challengeOptions are the flags of slot challenge.
type challengeOptions struct {
	oneSlot
	mode, padding, file string
	totp                bool
	digits              int
	period              time.Duration
	at                  int64
	named               func(string) bool // flags that were given
}

func newSlotChallengeCmd(a *app) *cobra.Command {
	var o challengeOptions
	cmd := &cobra.Command{
		Use: "challenge [HEX]", Short: "Let a slot answer a challenge", Args: args(0, 1, "HEX"),
		Long: `Let a challenge-response slot answer, also one that this store did not write. The challenge is hexadecimal, or the bytes of a file or of
standard input; the answer goes to standard output, in hexadecimal.

Keys of variable length find the end of a message by its padding. yubikit pads so that every message of 1 to 63 bytes stays what it is;
ykpers, as ykchalresp does, loses zeros at the end of a message.`,
		Example: "  tokendesk slot challenge --slot 2 0102030405\n  tokendesk slot challenge --slot 2 --totp\n  tokendesk slot challenge --slot 1 --mode yubico 010203040506",
		RunE: func(cmd *cobra.Command, given []string) error {
			o.named = cmd.Flags().Changed
			return a.challenge(cmd.Context(), o, given)
		},
	}
	o.oneSlot.flags(cmd, a)
	f := cmd.Flags()
	f.StringVar(&o.mode, "mode", string(provision.HMACChallenge), "hmac, or yubico (6 bytes; equal challenges give different answers)")
	f.StringVar(&o.padding, "padding", ykslot.PadYubikit.String(), "yubikit or ykpers")
	f.StringVar(&o.file, "file", "", "file with the challenge's bytes; - is standard input")
	f.BoolVar(&o.totp, "totp", false, "the challenge is the time, the answer a code (RFC 6238)")
	f.IntVar(&o.digits, "digits", 6, "digits of the code: 6 to 8")
	f.DurationVar(&o.period, "period", 30*time.Second, "how long a code holds")
	f.Int64Var(&o.at, "time", 0, "the time in seconds since 1970 (default now)")
	complete(cmd, "mode", string(provision.HMACChallenge), string(provision.YubicoChallenge))
	complete(cmd, "padding", ykslot.PadYubikit.String(), ykslot.PadYkpers.String())
	return cmd
}

// slotAnswer is what slot challenge shows.
type slotAnswer struct {
	Slot   int    `json:"slot"`
	Answer string `json:"answer"` // hexadecimal, or the code
}

func (a *app) challenge(ctx context.Context, o challengeOptions, given []string) error {
	padding, challenge, err := o.read(ctx, a, given)
	if err != nil {
		return err
	}
	defer challenge.Destroy()
	k, err := o.choice.open(ctx, a)
	if err != nil {
		return err
	}
	defer k.close()
	answer, err := a.answer(ctx, k, o, padding, challenge)
	if err != nil {
		return o.explain(k, err)
	}
	defer answer.Destroy()
	text := hex.EncodeToString(answer.Reveal())
	if o.totp {
		text = ykslot.TOTPCode(answer, o.digits)
	}
	if a.format != "table" {
		return show(a, "challenge", slotAnswer{o.slot, text}, []column[slotAnswer]{
			{"Slot", func(r slotAnswer) string { return fmt.Sprint(r.Slot) }},
			{"Answer", func(r slotAnswer) string { return r.Answer }},
		})
	}
	_, err = fmt.Fprintln(a.stdout, text)
	return err
}

// read checks the flags and reads the challenge.
func (o challengeOptions) read(ctx context.Context, a *app, given []string) (p ykslot.Padding, challenge secret.Bytes, err error) {
	p, ok := ykslot.ParsePadding(o.padding)
	named := len(given)
	for _, set := range []bool{o.file != "", o.totp} {
		if set {
			named++
		}
	}
	switch {
	case o.check() != nil:
		return p, challenge, o.check()
	case !ok:
		return p, challenge, usagef("--padding is yubikit or ykpers")
	case o.mode != string(provision.HMACChallenge) && o.mode != string(provision.YubicoChallenge):
		return p, challenge, usagef("--mode is hmac or yubico")
	case o.totp && o.mode != string(provision.HMACChallenge):
		return p, challenge, usagef("--totp needs --mode hmac")
	case named != 1:
		return p, challenge, usagef("the challenge is given once: as HEX, by --file, or by --totp")
	case !o.totp && (o.named("digits") || o.named("period") || o.named("time")):
		return p, challenge, usagef("--digits, --period and --time go with --totp")
	case o.mode == string(provision.YubicoChallenge) && o.named("padding"):
		return p, challenge, usagef("--padding is of hmac challenges; a yubico challenge has %d bytes", ykslot.YubicoChallengeLen)
	case o.totp && (o.digits < 6 || o.digits > 8 || o.period < time.Second || o.period%time.Second != 0 || o.at < 0):
		return p, challenge, usagef("--digits is 6 to 8, --period whole seconds, --time not negative")
	case o.totp:
		return p, o.timeStep(a.now()), nil
	case o.file != "":
		challenge, err = a.readAll(ctx, o.file, ykslot.MaxChallenge)
	default:
		text := secret.Copy([]byte(given[0]))
		defer text.Destroy()
		challenge, err = hexSecret(text, 0, "a challenge")
	}
	switch n := challenge.Len(); {
	case err != nil:
	case o.mode == string(provision.YubicoChallenge) && n != ykslot.YubicoChallengeLen:
		err = usagef("a Yubico challenge has %d bytes, not %d", ykslot.YubicoChallengeLen, n)
	case n == 0 || n > ykslot.MaxChallenge:
		err = usagef("a challenge has 1 to %d bytes", ykslot.MaxChallenge)
	}
	return p, challenge, err
}

// timeStep is the challenge of a TOTP.
func (o challengeOptions) timeStep(now time.Time) secret.Bytes {
	if o.named("time") {
		now = time.Unix(o.at, 0)
	}
	step := ykslot.TOTPChallenge(now, o.period)
	return secret.New(step[:])
}

func (a *app) answer(ctx context.Context, k *key, o challengeOptions, p ykslot.Padding, challenge secret.Bytes) (secret.Bytes, error) {
	told := false
	touch := func(time.Duration) error {
		if !told {
			told = true
			a.say("now the key blinks: touch it")
		}
		return ctx.Err()
	}
	if o.mode == string(provision.YubicoChallenge) {
		return k.session.ChallengeYubico(ctx, ykslot.Slot(o.slot), [ykslot.YubicoChallengeLen]byte(challenge.Reveal()), touch)
	}
	return k.session.ChallengeHMAC(ctx, ykslot.Slot(o.slot), challenge.Reveal(), p, touch)
}

// explain tells an empty slot and one of another mode from a key that nobody touched.
func (o challengeOptions) explain(k *key, err error) error {
	var rejected *ykslot.RejectedError
	switch {
	case errors.Is(err, ykslot.ErrTouchTimeout):
		p := &problem{line: "nobody touched " + k.name() + " in time", code: exitVerify, cause: err}
		return p.hint("repeat the command, and touch the key while it blinks")
	case errors.As(err, &rejected) && !k.inUse()[o.slot-1]:
		return &provision.RefusedError{Serial: k.serial, Slot: token.Slot(o.slot), Err: provision.ErrSlotEmpty}
	case errors.As(err, &rejected):
		p := &problem{line: fmt.Sprintf("%s, slot %d: it gives no answer: it is not for %s challenges", k.name(), o.slot, o.mode), code: exitDevice, cause: err}
		return p.hint("see what it holds: tokendesk slot list; the other kind of challenges: --mode")
	}
	return err
}
