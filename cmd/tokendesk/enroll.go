package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newAppCmd(a *app) *cobra.Command {
	return group("app", "Give persons an authenticator app, by a link or at this terminal", newAppEnrollCmd(a), newAppListCmd(a), newAppCancelCmd(a))
}

// enrollOptions are the flags of app enroll.
type enrollOptions struct {
	by, url, kind, name string
	app                 desk.App
	period              int
	valid               time.Duration
	light               bool
}

// newLink is a link with its PIN: a hand-over output, shown once.
type newLink struct {
	ID      int64     `json:"id"`
	Account string    `json:"account"`
	Link    string    `json:"link"`
	PIN     string    `json:"pin"`
	Expires time.Time `json:"expires"`
}

func newAppEnrollCmd(a *app) *cobra.Command {
	var o enrollOptions
	cmd := &cobra.Command{
		Use: "enroll PERSON --by link|terminal", Short: "Set an authenticator app up for a person", Args: args(1, 1, "PERSON"),
		Long: `Set an authenticator app up for a person; it is active when a code proved that the app has the secret.

By link: nothing is drawn yet. Whoever opens the link needs the PIN too, which is told another way; five wrong ones, and the link is dead.
Nobody but that person sees the secret. It is good for 30 minutes; the link, which then gives another one, for a day.

By terminal: the QR code is drawn here, and the device's name and its first code are asked for.`,
		Example: `  tokendesk app enroll ada --by link --url https://desk.example.org --issuer "Example Ltd"
  tokendesk app enroll ada --by terminal --issuer "Example Ltd"`,
		ValidArgsFunction: a.accounts,
		RunE: func(cmd *cobra.Command, given []string) error {
			o.app.Kind, o.app.Holder, o.app.Period = token.Kind(o.kind), given[0], time.Duration(o.period)*time.Second
			switch o.by {
			case "link":
				return a.enrollByLink(cmd.Context(), o)
			case "terminal":
				return a.enrollHere(cmd.Context(), o)
			}
			return usagef("app enroll: --by is link or terminal")
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.by, "by", "", "link or terminal")
	f.StringVar(&o.url, "url", "", "address of the server of the page, such as https://desk.example.org")
	f.DurationVar(&o.valid, "valid", desk.DefaultLinkTime, "how long the link is good, a minute to 168h")
	f.StringVar(&o.name, "name", "", "what the person calls the device, at the terminal; asked for otherwise")
	f.BoolVar(&o.light, "light", false, "the terminal's background is light")
	f.StringVar(&o.kind, "type", string(token.TOTP), "totp (by the time) or hotp (by a counter)")
	f.StringVar(&o.app.Issuer, "issuer", "", "who asks for the codes, as the app shows it")
	f.IntVar(&o.app.Digits, "digits", 0, "length of a code, 6 or 8 (default 6)")
	f.StringVar(&o.app.Hash, "hash", "", "sha1, sha256 or sha512 (default sha1)")
	f.IntVar(&o.period, "period", 0, "how long a TOTP code lasts, in seconds (default 30)")
	complete(cmd, "by", "link", "terminal")
	complete(cmd, "type", "totp", "hotp")
	complete(cmd, "digits", "6", "8")
	complete(cmd, "hash", "sha1", "sha256", "sha512")
	return cmd
}

// enrollBase checks --url: pages that show secrets are not sent in the clear, except to this machine.
func enrollBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, usagef("--url: the address of the server is needed").hint("example: --url https://desk.example.org")
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return nil, usagef("--url: https is needed, as the page shows a secret")
	}
	return u, nil
}

func (a *app) enrollByLink(ctx context.Context, o enrollOptions) error {
	base, err := enrollBase(o.url)
	if err != nil {
		return err
	}
	if o.name != "" || o.light {
		return usagef("--name and --light go with --by terminal")
	}
	return a.withDesk(ctx, func(d *desk.Desk) error {
		l, err := d.Enroll(ctx, o.app.Holder, o.app, o.valid)
		if err != nil {
			return personGone(err, o.app.Holder)
		}
		defer l.Value.Destroy()
		defer l.PIN.Destroy()
		a.say("send the link to %s, and tell the PIN another way; both are shown once", printable(o.app.Holder))
		link := base.JoinPath("enroll", string(l.Value.Reveal())).String()
		return show(a, "link", newLink{l.ID, o.app.Holder, link, shownCode(l.PIN), l.Expires}, []column[newLink]{
			{"ID", func(l newLink) string { return strconv.FormatInt(l.ID, 10) }},
			{"Link", func(l newLink) string { return l.Link }},
			{"PIN", func(l newLink) string { return l.PIN }},
			{"Until", func(l newLink) string { return a.when(l.Expires) }},
		})
	})
}

// enrollHere draws the QR code and asks for the first code.
func (a *app) enrollHere(ctx context.Context, o enrollOptions) error {
	switch {
	case o.url != "":
		return usagef("--url goes with --by link")
	case !a.stdoutTTY || !a.stdinTTY:
		return problemf(exitRefused, "a QR code is drawn on a terminal only, and a code of the app is asked for there").
			hint("send a link instead: tokendesk app enroll %s --by link", printable(o.app.Holder))
	}
	for o.name == "" {
		fmt.Fprint(a.stderr, "What does the person call the device (such as \"my phone\")? ")
		text, err := a.readLine(ctx)
		if err != nil {
			return err
		}
		o.name = strings.TrimSpace(text)
		if text == "" {
			return usagef("no name was typed")
		}
	}
	if err := desk.CheckName(o.name); err != nil { // before a secret is drawn
		return usagef("%s", err)
	}
	return a.withSwept(ctx, func(d *desk.Desk) error {
		if err := nameTaken(ctx, d, o.app.Holder, o.name); err != nil {
			return err
		}
		t, _, err := d.AddApp(ctx, o.app)
		if err != nil {
			return personGone(err, o.app.Holder)
		}
		if err := a.drawApp(ctx, d, t, o.light); err != nil {
			return err
		}
		return a.proveApp(ctx, d, t, o.name)
	})
}

// nameTaken says so before a secret is drawn; Confirm is what decides.
func nameTaken(ctx context.Context, d *desk.Desk, account, name string) error {
	_, list, err := d.Person(ctx, account)
	for _, t := range list {
		if strings.EqualFold(t.Name, name) && t.State != token.Revoked {
			return usagef("another token of %s is called that", printable(account)).hint("choose another name: --name NAME")
		}
	}
	return personGone(err, account)
}

func (a *app) drawApp(ctx context.Context, d *desk.Desk, t token.Token, light bool) error {
	_, rec, err := d.HandOver(ctx, desk.ByID(t.ID), desk.HandOver{Form: "qr"})
	if err != nil {
		return err
	}
	defer rec.Destroy()
	uri, err := otpauth.Format(rec)
	if err != nil {
		return err
	}
	defer uri.Destroy()
	return a.handOver(uri, rec, qrOptions{light: light})
}

// proveApp asks for codes until one is right.
func (a *app) proveApp(ctx context.Context, d *desk.Desk, t token.Token, name string) error {
	again := fmt.Sprintf("it stays pending; go on later: tokendesk token verify %s --name NAME", t.Label)
	for {
		code, err := a.askOTP(ctx, "The code that the app shows now (it is not shown here):")
		if err != nil {
			a.say("%s", again)
			return err
		}
		now, proof, err := d.Confirm(ctx, desk.ByID(t.ID), []string{code}, name)
		var locked *desk.LockedError
		if errors.As(err, &locked) {
			if wait := locked.Until.Sub(a.now()); wait < time.Minute {
				a.say("the next code is looked at in %d s", int(wait.Seconds())+1)
				if err := a.pause(ctx, wait+time.Second); err != nil {
					return err
				}
				now, proof, err = d.Confirm(ctx, desk.ByID(t.ID), []string{code}, name)
			}
		}
		if err != nil {
			a.say("%s", again)
			return err
		}
		if proof == desk.Proven {
			a.say("%s is active", desk.Name(now))
			return nil
		}
		a.say("%s", wrongHint(proof))
	}
}

// wrongHint says what may be wrong with the first code of an app.
func wrongHint(p desk.Proof) string {
	if p == desk.NeedSecond {
		return "that code is of another time or far ahead: look at the clock of the phone, it must be set by itself"
	}
	return fmt.Sprintf("%s: wait for the next code, and look whether the entry is the one that was scanned now", p)
}

// linkRow is an enrolment link as app list shows it.
type linkRow struct {
	ID      int64          `json:"id"`
	Account string         `json:"account"`
	State   desk.LinkState `json:"state"`
	Tries   int            `json:"tries_left"`
	Created time.Time      `json:"created"`
	Expires time.Time      `json:"expires"`
}

func newAppListCmd(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list [PERSON]", Short: "List enrolment links that are open", Args: args(0, 1, ""), ValidArgsFunction: a.accounts,
		RunE: func(cmd *cobra.Command, given []string) error {
			account := strings.Join(given, "")
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				links, err := d.Links(cmd.Context(), account)
				if err != nil {
					return personGone(err, account)
				}
				var rows []linkRow
				for _, l := range links {
					if all || l.State == desk.LinkOpen || l.State == desk.LinkShown {
						rows = append(rows, linkRow{l.ID, l.Person.Account, l.State, l.TriesLeft, l.Created, l.Expires})
					}
				}
				return list(a, "links", rows, []column[linkRow]{
					{"ID", func(r linkRow) string { return strconv.FormatInt(r.ID, 10) }},
					{"Account", func(r linkRow) string { return r.Account }},
					{"State", func(r linkRow) string { return string(r.State) }},
					{"Tries left", func(r linkRow) string { return strconv.Itoa(r.Tries) }},
					{"Made", func(r linkRow) string { return a.when(r.Created) }},
					{"Until", func(r linkRow) string { return a.when(r.Expires) }},
				})
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that are done or over")
	return cmd
}

func newAppCancelCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "End an enrolment link, with the secret that it showed", Args: args(1, 1, "ID"),
		RunE: func(cmd *cobra.Command, given []string) error {
			id, err := strconv.ParseInt(given[0], 10, 64)
			if err != nil {
				return usagef("app cancel: ID is a number").hint("see: tokendesk app list")
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				err := d.CancelLink(cmd.Context(), id)
				switch {
				case errors.Is(err, token.ErrNotFound):
					return problemf(exitNotFound, "there is no link %d", id).hint("see: tokendesk app list")
				case errors.Is(err, token.ErrConflict):
					return problemf(exitRefused, "link %d is done or over", id).hint("see: tokendesk app list --all")
				case err == nil:
					a.say("link %d is cancelled", id)
				}
				return err
			})
		},
	}
}
