package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// profileAdd are the flags of profile add.
type profileAdd struct {
	file             string
	defaults, change bool
	dryRun           bool
	set              map[string]*string
}

func newProfileAddCmd(a *app) *cobra.Command {
	o := profileAdd{set: map[string]*string{}}
	cmd := &cobra.Command{
		Use: "add [NAME]", Short: "Add a profile from flags, a file or standard input; with --change its next version", Args: args(0, 1, ""),
		Long: `Add a profile. NAME with flags, or --file with a text of lines "key = value"; # begins a comment, and what is left out is as
usual. The keys are those of the flags, and name. --dry-run prints the whole text that would be added.

A profile that is there is not changed: --change adds its next version, and the former ones are kept.`,
		Example: `  tokendesk provision profile add staff --slot 2 --touch sample:13 --stock-prefix A-
  tokendesk provision profile add --file staff.txt
  tokendesk provision profile show staff | sed 's/^slot .*/slot = 1/' | tokendesk provision profile add --file - --change
  tokendesk provision profile add --default`,
		RunE: func(cmd *cobra.Command, given []string) error {
			list, err := o.read(cmd, a, given)
			if err != nil {
				return err
			}
			if o.dryRun {
				for _, p := range list {
					if err := a.showProfile(desk.StoredProfile{Profile: p}); err != nil {
						return err
					}
				}
				return nil
			}
			return a.addProfiles(cmd.Context(), list, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "file", "", "file with the profile; - is standard input")
	f.BoolVar(&o.defaults, "default", false, "add the profiles that most sites begin with")
	f.BoolVar(&o.change, "change", false, "add the next version of a profile that is there")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the profile with all its settings, add nothing")
	for _, k := range profile.Keys() {
		o.set[k.Key] = f.String(k.Key, "", k.Values)
	}
	complete(cmd, "kind", profileKinds()...)
	complete(cmd, "exports", codecs.Names()...)
	return cmd
}

func profileKinds() (out []string) {
	for _, k := range profile.Kinds() {
		out = append(out, string(k))
	}
	return out
}

// read makes the profiles of the flags.
func (o profileAdd) read(cmd *cobra.Command, a *app, given []string) ([]profile.Profile, error) {
	var text strings.Builder
	for _, k := range profile.Keys() {
		if !cmd.Flags().Changed(k.Key) {
			continue
		}
		if strings.ContainsAny(*o.set[k.Key], "#\n\r") {
			return nil, usagef("--%s has a # or a line's end, which profiles do not have", k.Key)
		}
		fmt.Fprintf(&text, "%s = %s\n", k.Key, *o.set[k.Key])
	}
	ways := 0
	for _, way := range []bool{o.file != "", o.defaults, len(given) > 0} {
		if way {
			ways++
		}
	}
	switch {
	case ways != 1:
		return nil, usagef("profile add: give NAME with flags, or --file FILE, or --default")
	case text.Len() > 0 && len(given) == 0:
		return nil, usagef("profile add: settings are flags behind NAME, or lines of the file")
	case o.defaults:
		return profile.Defaults(), nil
	case o.file != "":
		return o.readFile(cmd.Context(), a)
	case strings.ContainsAny(given[0], "#\n\r"):
		return nil, usagef("a profile's name has no # and no line's end")
	}
	p, err := profile.Parse("name = " + given[0] + "\n" + text.String())
	if err == nil {
		err = knownHere(p)
	}
	return []profile.Profile{p}, flagProblem(err)
}

// flagProblem takes the place in the text away, which is nobody's text.
func flagProblem(err error) error {
	var syntax *profile.SyntaxError
	var check *profile.CheckError
	switch {
	case errors.As(err, &syntax):
		return usagef("profile add: %s: %s", cmp.Or(syntax.Key, "name"), syntax.Problem)
	case errors.As(err, &check):
		return usagef("profile add: %s", check)
	}
	return err
}

func (o profileAdd) readFile(ctx context.Context, a *app) ([]profile.Profile, error) {
	in, err := a.openInput(ctx, o.file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(in, profile.MaxFile+1))
	if err != nil {
		return nil, in.blame(err)
	}
	p, err := profile.Parse(string(text))
	if err == nil {
		err = knownHere(p)
	}
	if err != nil {
		return nil, in.blame(err)
	}
	return []profile.Profile{p}, nil
}

// knownHere refuses what package profile cannot know of.
func knownHere(p profile.Profile) error {
	for _, text := range p.AccountsOf("a") { // of the shortest name; the others are seen when they get a key
		a, err := formOf(p.AccountForm).account(text)
		if err == nil && a.Steam() {
			err = oathaccount.ErrSteam
		}
		if err != nil {
			return &profile.CheckError{Key: "oath", Problem: oneLine(err)}
		}
	}
	if p.PIVSubject != "" {
		if _, err := parseSubject("the subject", p.SubjectOf("a")); err != nil {
			return &profile.CheckError{Key: "piv-subject", Problem: oneLine(err)}
		}
	}
	return knownExports(p)
}

// knownExports refuses formats that no codec writes. Servers are formats, too: the key file goes to them.
func knownExports(p profile.Profile) error {
	for _, name := range p.Exports {
		if _, ok := codecs.ByName(name); !ok && !isTarget(name) {
			return &profile.CheckError{Key: "exports", Problem: "the format " + name + " is unknown; see: tokendesk keyfile formats"}
		}
	}
	return nil
}

func (a *app) addProfiles(ctx context.Context, all []profile.Profile, o profileAdd) error {
	return a.withDesk(ctx, func(d *desk.Desk) error {
		var rows []profileRow
		for _, p := range all {
			kept, err := d.AddProfile(ctx, p, o.change)
			if o.defaults && errors.Is(err, token.ErrDuplicate) {
				a.say("the profile %s is there already and stays as it is", p.Name)
				continue
			}
			if err != nil {
				return profileProblem(err, p.Name)
			}
			rows = append(rows, profileOf(kept))
		}
		columns := profileColumns(a)
		return list(a, "profiles", rows, columns[:len(columns)-1])
	})
}
