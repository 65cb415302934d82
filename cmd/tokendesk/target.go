package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/push/keycloak"
	"github.com/tokendesk/tokendesk/keyfile/push/linotp"
	"github.com/tokendesk/tokendesk/keyfile/push/privacyidea"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newTargetCmd(a *app) *cobra.Command {
	return group("target", "Register the servers that tokens are pushed to",
		newTargetAddCmd(a), newTargetListCmd(a), newTargetPasswordCmd(a), newTargetRemoveCmd(a))
}

// connect implements desk.Connect: it opens a target and sends nothing.
func (a *app) connect(s push.Server, credential secret.Bytes) (push.Target, error) {
	t, err := a.connectOnce(s, credential)
	if err != nil {
		return nil, err
	}
	return push.Patient{Target: t, Pause: a.pause}, nil
}

// connectOnce is connect without patience, for whoever comes again.
func (a *app) connectOnce(s push.Server, credential secret.Bytes) (push.Target, error) {
	switch s.Kind {
	case push.PrivacyIDEA:
		return privacyidea.New(s, credential, a.transport)
	case push.LinOTP:
		return linotp.New(s, credential, a.transport)
	case push.Keycloak:
		return keycloak.New(s, credential, a.transport)
	}
	return nil, usagef("--kind: %s are possible", kindNames())
}

func kindNames() string {
	var names []string
	for _, k := range push.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func newTargetAddCmd(a *app) *cobra.Command {
	var s push.Server
	var kind, file string
	cmd := &cobra.Command{
		Use: "add NAME --kind KIND --url URL", Short: "Register a server; its password is asked for", Args: args(1, 1, "NAME"),
		Long: `Register a server that tokens are pushed to. The password of --account is asked for, or read from standard input or
--password-file. For Keycloak the account is a client with service account and the password its client secret; for
privacyIDEA without --account it is an API token. It is kept sealed. Nothing is sent to the server.

The URL is https, with a certificate that this machine trusts; http is taken for this machine itself only.`,
		Example: `  tokendesk target add pi --kind privacyidea --url https://pi.example.org --account desk --realm campus
  tokendesk target add sso --kind keycloak --url https://sso.example.org --account tokendesk --realm staff < secret.txt`,
		RunE: func(cmd *cobra.Command, given []string) error {
			s.Name, s.Kind = given[0], push.Kind(kind)
			switch {
			case kind == "":
				return usagef("--kind is missing").hint("it is one of: %s", kindNames())
			case s.URL == "":
				return usagef("--url is missing: where the server's paths begin")
			}
			if _, err := push.ParseURL(s.URL); err != nil { // before a password is typed
				return usagef("%s", err)
			}
			return a.withPassword(cmd.Context(), file, func(credential secret.Bytes) error {
				if _, err := a.connect(s, credential); err != nil {
					return usageOf(err)
				}
				return a.addTarget(cmd.Context(), s, credential)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "", kindNames())
	f.StringVar(&s.URL, "url", "", "where the server's paths begin: https://host/path")
	f.StringVar(&s.Account, "account", "", "administrator, or client ID (keycloak)")
	f.StringVar(&s.Realm, "realm", "", "realm of the holders there; without it tokens are not assigned to them")
	f.StringVar(&s.Resolver, "resolver", "", "resolver of the holders there")
	f.StringVar(&file, "password-file", "", "file whose first line is the password")
	complete(cmd, "kind", strings.Split(kindNames(), ", ")...)
	return cmd
}

// usageOf is what the operator got wrong.
func usageOf(err error) error {
	var p *problem
	if errors.As(err, &p) {
		return err
	}
	return &problem{line: oneLine(err), code: exitUsage, cause: err}
}

func (a *app) addTarget(ctx context.Context, s push.Server, credential secret.Bytes) error {
	return a.withDesk(ctx, func(d *desk.Desk) error {
		t, err := d.AddTarget(ctx, s, credential)
		if errors.Is(err, token.ErrDuplicate) {
			return problemf(exitRefused, "a target of that name is registered already")
		}
		if err != nil {
			return err
		}
		a.say("push tokens there: tokendesk keyfile push --to %s", printable(t.Name))
		return show(a, "target", targetOf(t), targetColumns())
	})
}

// withPassword reads the first line of a file, or asks for it, or takes it from standard input.
func (a *app) withPassword(ctx context.Context, file string, act func(secret.Bytes) error) error {
	var text string
	var err error
	switch {
	case file != "":
		text, err = a.firstLine(ctx, file)
	case a.stdinTTY:
		fmt.Fprint(a.stderr, "Password (it is not shown): ")
		text, err = a.readSecret(ctx)
		fmt.Fprintln(a.stderr)
	default:
		text, err = a.readLine(ctx)
	}
	if err != nil {
		return err
	}
	switch {
	case text == "":
		return usagef("the password is empty").hint("type it, or pipe it in, or name a file: --password-file FILE")
	case len(text) >= maxTyped:
		return usagef("the password is too long")
	}
	credential := secret.New([]byte(text))
	defer credential.Destroy()
	return act(credential)
}

func (a *app) firstLine(ctx context.Context, file string) (string, error) {
	in, err := a.openInput(ctx, file)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(in, maxTyped))
	if err != nil {
		return "", in.blame(err)
	}
	defer clear(text)
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimRight(line, "\r"), nil
}

// targetRow is a target as target list shows it, without its password.
type targetRow struct {
	Name     string    `json:"name"`
	Kind     push.Kind `json:"kind"`
	URL      string    `json:"url"`
	Account  string    `json:"account,omitempty"`
	Realm    string    `json:"realm,omitempty"`
	Resolver string    `json:"resolver,omitempty"`
	Created  time.Time `json:"created"`
}

func targetOf(t desk.Target) targetRow {
	return targetRow{t.Name, t.Kind, t.URL, t.Account, t.Realm, t.Resolver, t.Created}
}

func targetColumns() []column[targetRow] {
	return []column[targetRow]{
		{"Name", func(t targetRow) string { return t.Name }},
		{"Kind", func(t targetRow) string { return string(t.Kind) }},
		{"URL", func(t targetRow) string { return t.URL }},
		{"Account", func(t targetRow) string { return t.Account }},
		{"Realm", func(t targetRow) string { return t.Realm }},
		{"Resolver", func(t targetRow) string { return t.Resolver }},
		{"Since", func(t targetRow) string { return t.Created.Local().Format(time.DateOnly) }},
	}
}

func newTargetListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the servers that tokens are pushed to", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				targets, err := d.Targets(cmd.Context())
				if err != nil {
					return err
				}
				var rows []targetRow
				for _, t := range targets {
					rows = append(rows, targetOf(t))
				}
				return list(a, "targets", rows, targetColumns())
			})
		},
	}
}

func newTargetPasswordCmd(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "password NAME", Short: "Replace the password of a target", Args: args(1, 1, "NAME"), ValidArgsFunction: a.targetWords,
		Long: "Replace the password, API token or client secret of a target. It is asked for, or read from standard input or --password-file.",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withPassword(cmd.Context(), file, func(credential secret.Bytes) error {
				return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
					if err := d.SetTargetCredential(cmd.Context(), given[0], credential); err != nil {
						return err
					}
					a.say("the password of %s is replaced; what waits there goes on: tokendesk keyfile push --retry", printable(given[0]))
					return nil
				})
			})
		},
	}
	cmd.Flags().StringVar(&file, "password-file", "", "file whose first line is the password")
	return cmd
}

func newTargetRemoveCmd(a *app) *cobra.Command {
	var yes, force bool
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Forget a target and what was pushed there", Args: args(1, 1, "NAME"), ValidArgsFunction: a.targetWords,
		Long: `Forget a target, its password and what was pushed there. Nothing is sent to the server. While tokens may be valid there it
is refused, because "token block" would not reach them any more; --force does it nevertheless.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				if err := a.confirm(cmd.Context(), yes, "forget target "+printable(given[0])+" and what was pushed there"); err != nil {
					return err
				}
				if err := d.RemoveTarget(cmd.Context(), given[0], force); err != nil {
					return err
				}
				a.say("target %s is forgotten", printable(given[0]))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&force, "force", false, "also while tokens may be valid there")
	return cmd
}

// targetWords offers the names of targets.
func (a *app) targetWords(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if len(given) == 0 {
		_ = a.withDesk(cmd.Context(), func(d *desk.Desk) error { // what cannot be read is not offered
			all, err := d.Targets(cmd.Context())
			for _, t := range all {
				words = append(words, t.Name+"\t"+t.URL)
			}
			return err
		})
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
