package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/seedtable"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// addedToken is an app token as token add shows it, without its secret.
type addedToken struct {
	Label  string      `json:"label"`
	Type   token.Kind  `json:"type"`
	State  token.State `json:"state"`
	Holder string      `json:"holder,omitempty"`
	Issuer string      `json:"issuer,omitempty"`
	Digits int         `json:"digits"`
	Hash   string      `json:"hash"`
	Period int         `json:"period,omitempty"` // seconds
}

func addedOf(t token.Token, c token.Credential) addedToken {
	r := addedToken{t.Label, c.Kind, c.State, "", c.Settings.Issuer, c.Settings.Digits, c.Settings.Hash, int(c.Settings.Period / time.Second)}
	if t.Holder != nil {
		r.Holder = t.Holder.Account
	}
	return r
}

// addOptions are the flags of token add.
type addOptions struct {
	app          desk.App
	kind         string
	period       int
	file         string // of a secret that exists already
	encoding     string
	label        string
	counter      int64
	fromOutside  bool // the secret exists already
	periodGiven  bool
	digitsGiven  bool
	counterGiven bool
}

func newTokenAddCmd(a *app) *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use: "add --type totp|hotp", Short: "Register an app token with a fresh secret, or a token whose secret exists already", Args: args(0, 0, ""),
		Long: `Make a token for an authenticator app, with a fresh secret as long as its hash. The secret is not shown: hand it over by
"tokendesk token qr". Until a code proved that the app has it ("tokendesk token verify"), the token is pending: it does not
validate, and it is not exported.

With --encoding the secret exists already, in a token or another system: it is read from --secret-file, or asked for, or read from
standard input. That token is in stock: hand it over by "tokendesk token issue".`,
		Example: `  tokendesk token add --type totp --to ada --issuer "Example Ltd"
  tokendesk token qr ada
  tokendesk token add --type hotp --encoding hex --label 2600135004013 --secret-file seed.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.periodGiven, o.digitsGiven, o.counterGiven = cmd.Flags().Changed("period"), cmd.Flags().Changed("digits"), cmd.Flags().Changed("counter")
			if err := o.check(); err != nil {
				return err
			}
			if o.fromOutside {
				return a.addSeed(cmd.Context(), o)
			}
			return a.addApp(cmd.Context(), o.app)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.kind, "type", "", "totp (by the time) or hotp (by a counter)")
	f.StringVar(&o.app.Holder, "to", "", "account of the person who gets it")
	f.StringVar(&o.app.Issuer, "issuer", "", "who asks for the codes, as the app shows it")
	f.IntVar(&o.app.Digits, "digits", 0, "length of a code, 6 or 8 (default 6)")
	f.StringVar(&o.app.Hash, "hash", "", "sha1, sha256 or sha512 (default sha1)")
	f.IntVar(&o.period, "period", 0, "how long a TOTP code lasts, in seconds (default 30)")
	f.StringVar(&o.encoding, "encoding", "", "how a secret that exists already is written: base32 or hex")
	f.StringVar(&o.file, "secret-file", "", "the file that holds it")
	f.StringVar(&o.label, "label", "", "the serial number of a token whose secret exists already")
	f.Int64Var(&o.counter, "counter", 0, "the next counter of a HOTP token whose secret exists already")
	complete(cmd, "type", "totp", "hotp")
	complete(cmd, "digits", "6", "8")
	complete(cmd, "hash", "sha1", "sha256", "sha512")
	complete(cmd, "encoding", string(seedtable.Base32), string(seedtable.Hex))
	if err := cmd.RegisterFlagCompletionFunc("to", a.accounts); err != nil { // the flag was added above
		panic(err)
	}
	return cmd
}

// check completes the options.
func (o *addOptions) check() error {
	switch {
	case o.kind == "":
		return usagef("--type is missing").hint("it is totp or hotp")
	case o.periodGiven && o.period <= 0:
		return usagef("--period: 1 to 86400 seconds")
	case o.digitsGiven && o.app.Digits == 0:
		return usagef("--digits: 6 and 8 are possible")
	case o.encoding == "" && (o.file != "" || o.label != "" || o.counterGiven):
		return usagef("--secret-file, --label and --counter are for a secret that exists already").hint("say how it is written: --encoding base32 or --encoding hex")
	case o.encoding != "" && o.encoding != string(seedtable.Base32) && o.encoding != string(seedtable.Hex):
		return usagef("--encoding: base32 and hex are possible")
	}
	o.fromOutside = o.encoding != ""
	o.app.Kind, o.app.Period = token.Kind(o.kind), time.Duration(o.period)*time.Second
	return nil
}

// addSeed registers a token whose secret exists already.
func (a *app) addSeed(ctx context.Context, o addOptions) error {
	key, err := a.readSeed(ctx, o)
	if err != nil {
		return err
	}
	defer key.Destroy()
	return a.withDesk(ctx, func(d *desk.Desk) error {
		t, c, err := d.AddSeed(ctx, o.app, desk.Seed{Key: key, Label: o.label, Counter: o.counter})
		if errors.Is(err, token.ErrNotFound) {
			return noPerson(o.app.Holder)
		}
		if err != nil {
			return err
		}
		if key.Len() < desk.GoodSeed {
			a.say("warning: the secret has %d bytes; %d or more are advised", key.Len(), desk.GoodSeed)
		}
		a.say("%s is in stock: hand it over by: tokendesk token issue %s --to PERSON --id-check HOW", desk.Name(t), t.Label)
		return a.showAdded(t, c)
	})
}

// readSeed reads a secret from the file, from a terminal with echo off, or from standard input.
func (a *app) readSeed(ctx context.Context, o addOptions) (secret.Bytes, error) {
	text, err := secret.Bytes{}, error(nil)
	switch {
	case o.file != "":
		text, err = a.readAll(ctx, o.file, maxSecretFile)
	case a.stdinTTY:
		fmt.Fprint(a.stderr, "secret (it is not shown): ")
		var typed string
		typed, err = a.readSecret(ctx)
		fmt.Fprintln(a.stderr)
		text = secret.Copy([]byte(typed))
	default:
		text, err = a.readAll(ctx, "-", maxSecretFile)
	}
	defer text.Destroy()
	if err != nil {
		return secret.Bytes{}, err
	}
	key, err := seedtable.Encoding(o.encoding).Decode(bytes.TrimSpace(text.Reveal()))
	if err != nil {
		return key, usagef("the secret is not written in %s: %s", o.encoding, err)
	}
	return key, nil
}

func (a *app) addApp(ctx context.Context, want desk.App) error {
	return a.withDesk(ctx, func(d *desk.Desk) error {
		t, c, err := d.AddApp(ctx, want)
		if errors.Is(err, token.ErrNotFound) {
			return noPerson(want.Holder)
		}
		if err != nil {
			return err
		}
		a.say("%s is pending: nothing of it validates until a code proved that the app has its secret", desk.Name(t))
		a.say("hand the secret over: tokendesk token qr %s; then: tokendesk token verify %s", t.Label, t.Label)
		return a.showAdded(t, c)
	})
}

func (a *app) showAdded(t token.Token, c token.Credential) error {
	return show(a, "token", addedOf(t, c), []column[addedToken]{
		{"Label", func(r addedToken) string { return r.Label }},
		{"Type", func(r addedToken) string { return string(r.Type) }},
		{"State", func(r addedToken) string { return string(r.State) }},
		{"Holder", func(r addedToken) string { return r.Holder }},
		{"Issuer", func(r addedToken) string { return r.Issuer }},
		{"Digits", func(r addedToken) string { return fmt.Sprint(r.Digits) }},
		{"Hash", func(r addedToken) string { return r.Hash }},
		{"Period", func(r addedToken) string { return seconds(r.Period) }},
	})
}

// seconds is "30 s", or "" for none.
func seconds(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d s", n)
}
