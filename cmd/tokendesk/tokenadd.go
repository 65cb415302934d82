package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

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

func newTokenAddCmd(a *app) *cobra.Command {
	var want desk.App
	var kind string
	var period int
	cmd := &cobra.Command{
		Use: "add --type totp|hotp", Short: "Make an app token with a fresh secret", Args: args(0, 0, ""),
		Long: `Make a token for an authenticator app, with a fresh secret as long as its hash. The secret is not shown: hand it over by
"tokendesk token qr". Until a code proved that the app has it, the token is pending: it does not validate, and it is not
exported.`,
		Example: `  tokendesk token add --type totp --to ada --issuer "Example Ltd"
  tokendesk token qr ada`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kind == "" {
				return usagef("--type is missing").hint("it is totp or hotp")
			}
			if cmd.Flags().Changed("period") && period <= 0 {
				return usagef("--period: 1 to 86400 seconds")
			}
			if cmd.Flags().Changed("digits") && want.Digits == 0 {
				return usagef("--digits: 6 and 8 are possible")
			}
			want.Kind, want.Period = token.Kind(kind), time.Duration(period)*time.Second
			return a.addApp(cmd.Context(), want)
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "type", "", "totp (by the time) or hotp (by a counter)")
	f.StringVar(&want.Holder, "to", "", "account of the person who gets it")
	f.StringVar(&want.Issuer, "issuer", "", "who asks for the codes, as the app shows it")
	f.IntVar(&want.Digits, "digits", 0, "length of a code, 6 or 8 (default 6)")
	f.StringVar(&want.Hash, "hash", "", "sha1, sha256 or sha512 (default sha1)")
	f.IntVar(&period, "period", 0, "how long a TOTP code lasts, in seconds (default 30)")
	complete(cmd, "type", "totp", "hotp")
	complete(cmd, "digits", "6", "8")
	complete(cmd, "hash", "sha1", "sha256", "sha512")
	if err := cmd.RegisterFlagCompletionFunc("to", a.accounts); err != nil { // the flag was added above
		panic(err)
	}
	return cmd
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
		a.say("hand the secret over: tokendesk token qr %s", t.Label)
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
	})
}

// seconds is "30 s", or "" for none.
func seconds(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d s", n)
}
