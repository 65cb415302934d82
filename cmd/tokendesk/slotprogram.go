package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
)

// programOptions are the flags of slot program.
type programOptions struct {
	provisionOptions
	toggles
	kind     string
	options  provision.Options
	mode     string // of the challenge
	password string // kind of it
	sources
}

// sources are the files of secrets that the operator gives.
type sources struct{ key, text, privateID, newCode, currentCode string }

func newSlotProgramCmd(a *app) *cobra.Command {
	var o programOptions
	cmd := &cobra.Command{
		Use: "program", Short: "Write a slot of any kind and prove it", Args: args(0, 0, ""),
		Long: `Write a slot: a Yubico OTP, an HOTP, challenge-response or a static password.

The secret is drawn, or read from a file or a prompt, and is durable and sealed in the store before the first byte goes to the key. A
slot that types is proven by a touch, challenge-response by the answer to a challenge. An interruption is settled by "tokendesk
provision resume".

Flags are switched by ykpersonalize's names; --append-cr=false takes one away that a new slot has. What the key's firmware does not
have is refused. A static password is never shown.`,
		Example: `  tokendesk slot program --slot 2 --type hotp --digits 8 --to ada
  tokendesk slot program --slot 1 --type hotp --token-id - --moving-factor 4096
  tokendesk slot program --slot 2 --type challenge-response --touch
  tokendesk slot program --slot 2 --type static --layout de --password-file -
  tokendesk slot program --slot 2 --type yubico-otp --pacing 20 --no-enter --dry-run`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.program(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kind, "type", "", "yubico-otp, hotp, challenge-response or static")
	o.provisionOptions.flags(cmd, a)
	f.Lookup("access-code").Usage = "what guards the slot: random, none, keep, or given: --new-code-file"
	f.Lookup("verify").Usage = "touch (challenge-response: a challenge), or none"
	p := &o.options
	f.IntVar(&p.Digits, "digits", 0, "hotp: 6 or 8")
	f.Int64Var(&p.MovingFactor, "moving-factor", 0, "hotp: the first one, a multiple of 16 up to 1048560")
	f.StringVar(&p.TokenID, "token-id", "", "hotp: OATH token identifier: 12 characters, 4 (serial number follows), 8 (ubhe before), or - (ubhe and serial number)")
	f.StringVar(&o.mode, "challenge", "", "challenge-response: hmac or yubico")
	f.BoolVar(&p.FixedLength, "fixed-length", false, "challenge-response: messages are exactly 64 bytes")
	f.BoolVar(&p.Touch, "touch", false, "challenge-response: answer only when touched")
	f.StringVar(&o.password, "password", "", "static: scan-codes, or ticket (the ModHex of an encrypted block)")
	f.StringVar(&p.Layout, "layout", "", "static: keyboard layout of the computers that it is typed on: "+strings.Join(layoutNames(), ", ")+" (default modhex, which most share)")
	f.IntVar(&p.Length, "length", 0, "static: characters that are drawn: up to 38 of a layout, 32 or 16 of a ticket")
	f.StringVar(&o.sources.text, "password-file", "", "static: file whose first line is the password; - asks for it or reads standard input")
	f.StringVar(&o.sources.key, "key-file", "", "file with the key in hexadecimal, instead of a drawn one; - asks for it or reads standard input")
	f.StringVar(&o.sources.privateID, "private-id-file", "", "yubico-otp, ticket: file with the private ID in hexadecimal")
	f.StringVar(&o.sources.newCode, "new-code-file", "", "file with the access code to set, in hexadecimal; with --access-code given")
	f.StringVar(&o.sources.currentCode, currentCodeFlag, "", currentCodeText)
	o.toggles.flags(cmd, false)
	complete(cmd, "type", kindWords()...)
	complete(cmd, "digits", "6", "8")
	complete(cmd, "challenge", string(provision.HMACChallenge), string(provision.YubicoChallenge))
	complete(cmd, "password", string(provision.ScanCodes), string(provision.Ticket))
	complete(cmd, "layout", layoutNames()...)
	return cmd
}

func kindWords() []string {
	var words []string
	for _, k := range provision.SlotKinds() {
		words = append(words, string(k))
	}
	return words
}

func layoutNames() []string {
	var names []string
	for _, l := range keyboard.All() {
		names = append(names, l.Name)
	}
	return names
}

func (a *app) program(cmd *cobra.Command, o programOptions) error {
	want, err := o.want(cmd)
	if err != nil {
		return err
	}
	own, err := o.sources.read(cmd.Context(), a, want)
	defer own.Destroy()
	if err != nil {
		return err
	}
	want.Own = &own
	return a.writeSlot(cmd.Context(), want, o.provisionOptions)
}

// want turns the flags into what the operator wants, without secrets.
func (o *programOptions) want(cmd *cobra.Command) (provision.Spec, error) {
	kind := token.Kind(o.kind)
	if o.kind == "" {
		return provision.Spec{}, usagef("--type is missing: it is %s", joined(kindWords()))
	}
	if !slices.Contains(kindWords(), o.kind) {
		return provision.Spec{}, usagef("a slot cannot hold %s", printable(o.kind)).hint("--type is %s", joined(kindWords()))
	}
	if l := o.options.Layout; l != "" && !slices.Contains(layoutNames(), l) {
		return provision.Spec{}, usagef("there is no such keyboard layout: %s", printable(l)).hint("--layout is %s", joined(layoutNames()))
	}
	want, err := o.spec()
	if err != nil {
		return want, err
	}
	if !cmd.Flags().Changed("public-id") && kind != token.YubicoOTP {
		want.PublicID = ""
	}
	want.Kind, want.Options = kind, o.options
	want.Options.Challenge, want.Options.Password = provision.ChallengeMode(o.mode), provision.PasswordMode(o.password)
	want.Options.Set, want.Options.Clear, _, err = o.toggles.read(cmd)
	if err != nil {
		return want, err
	}
	if want.PublicID != provision.Given && want.PublicID != "" && kind != token.YubicoOTP {
		return want, usagef("--public-id %s does not go with %s", o.publicID, kind)
	}
	if given := o.sources.newCode != ""; given != (want.AccessCode == provision.GivenCode) {
		return want, usagef("--access-code given and --new-code-file go together")
	}
	if o.sources.text != "" && (kind != token.Static || want.Options.Password == provision.Ticket || o.sources.key != "") {
		return want, usagef("--password-file is the password of --type static in scan codes")
	}
	if o.sources.key != "" && kind == token.Static && want.Options.Password != provision.Ticket {
		return want, usagef("--key-file is not for passwords: --password-file")
	}
	return want, nil
}

// read reads what was given. At most one of them can come from standard input.
func (s sources) read(ctx context.Context, a *app, want provision.Spec) (own provision.OwnSecrets, err error) {
	standard := 0
	for _, file := range []string{s.key, s.text, s.privateID, s.newCode, s.currentCode} {
		if file == "-" {
			standard++
		}
	}
	if standard > 1 && !a.stdinTTY {
		return own, usagef("only one secret can be read from standard input")
	}
	hexFrom := func(into *secret.Bytes, file, what string, n int) {
		if err != nil || file == "" {
			return
		}
		var text secret.Bytes
		if text, err = a.sharedSecret(ctx, file, what); err == nil {
			*into, err = hexSecret(text, n, what)
			text.Destroy()
		}
	}
	if s.text != "" {
		own.Key, err = a.newSecret(ctx, s.text, "the password", nil)
	}
	n := ykslot.KeyLen
	if want.Kind == token.HOTP || want.Kind == token.ChallengeResponse && want.Options.Challenge != provision.YubicoChallenge {
		n = 0
	}
	hexFrom(&own.Key, s.key, "the key", n)
	hexFrom(&own.PrivateID, s.privateID, "the private ID", ykslot.UIDLen)
	if err == nil {
		own.AccessCode, err = a.newAccessCode(ctx, s.newCode)
	}
	hexFrom(&own.Current, s.currentCode, "the present access code", ykslot.AccessCodeLen)
	return own, err
}

// planned is what a dry run shows: the configuration without secrets.
type planned struct {
	Serial       token.Serial             `json:"serial"`
	Slot         token.Slot               `json:"slot"`
	Kind         token.Kind               `json:"kind"`
	Class        provision.Class          `json:"class"`
	PublicID     string                   `json:"public_id"` // as it is typed
	Mode         string                   `json:"mode"`
	Flags        string                   `json:"flags"` // ext/ticket/config in hexadecimal
	Names        string                   `json:"flag_names"`
	Digits       int                      `json:"digits,omitempty"`
	MovingFactor *int64                   `json:"moving_factor,omitempty"`
	AccessCode   provision.AccessCodeMode `json:"access_code"`
	Proof        token.ProofRequired      `json:"proof"`
}

func (a *app) showPlan(p provision.Plan) error {
	r, f := p.Reservation, p.Flags()
	row := planned{
		Serial: r.Serial, Slot: r.Slot, Kind: r.Kind, Class: p.Class, PublicID: token.Credential{Kind: r.Kind, PublicID: r.PublicID, Settings: r.Settings}.TypedID(),
		Mode: f.Mode().String(), Flags: flagBytes(f), Names: flagNames(f, r.Kind), Digits: r.Settings.Digits, AccessCode: p.NewCode, Proof: r.Proof,
	}
	if p.RandomID {
		row.PublicID = "drawn when it is written"
	}
	if r.Kind == token.HOTP {
		row.MovingFactor = &r.Settings.FirstMoving
	}
	err := show(a, "plan", row, []column[planned]{
		{"Serial", func(p planned) string { return p.Serial.String() }},
		{"Slot", func(p planned) string { return fmt.Sprint(p.Slot) }},
		{"Kind", func(p planned) string { return string(p.Kind) }},
		{"Mode", func(p planned) string { return p.Mode }},
		{"Public ID", func(p planned) string { return p.PublicID }},
		{"Flags", func(p planned) string { return p.Flags }},
		{"On", func(p planned) string { return p.Names }},
		{"Digits", func(p planned) string { return orEmpty(p.Digits) }},
		{"Moving factor", func(p planned) string {
			if p.MovingFactor == nil {
				return ""
			}
			return fmt.Sprint(*p.MovingFactor)
		}},
		{"Access code", func(p planned) string { return string(p.AccessCode) }},
		{"Proof", func(p planned) string { return string(p.Proof) }},
	})
	a.say("dry run: nothing was written")
	return err
}

func orEmpty(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// flagBytes is "34/20/00".
func flagBytes(f ykslot.Flags) string {
	return fmt.Sprintf("%02x/%02x/%02x", uint8(f.Ext), uint8(f.Ticket), uint8(f.Config))
}

// flagNames are those that are on, apart from those of the mode.
func flagNames(f ykslot.Flags, k token.Kind) string {
	var names []string
	for _, t := range provision.Toggles() {
		if t.Goes(k) && t.On(f) && (t.Name != "short-ticket" || f.Mode() == ykslot.ModeStatic) {
			names = append(names, t.Name)
		}
	}
	return joined(names)
}
