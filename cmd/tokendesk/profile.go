package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newProfileCmd(a *app) *cobra.Command {
	cmd := group("profile", "Keep descriptions of what is written into keys", newProfileListCmd(a), newProfileShowCmd(a), newProfileAddCmd(a), newProfileRemoveCmd(a))
	cmd.Long = `Keep named descriptions of what is written into keys, so that a desk programs the same thing a thousand times. A profile is text
that people read, print and sign; it never holds a secret. A version is never changed: what was made by one can be looked up for ever.`
	return cmd
}

// profileRow is one version of a profile.
type profileRow struct {
	Name        string            `json:"name"`
	Version     int               `json:"version"`
	Fingerprint string            `json:"fingerprint"`
	Settings    map[string]string `json:"settings"`
	Text        string            `json:"text"`
	By          string            `json:"by,omitempty"`
	Created     *time.Time        `json:"created,omitempty"`
	Removed     *time.Time        `json:"removed,omitempty"`
	kept        desk.StoredProfile
}

func profileOf(p desk.StoredProfile) profileRow {
	r := profileRow{
		Name: p.Name, Version: p.Version, Fingerprint: p.Fingerprint(), Settings: map[string]string{}, Text: p.String(), By: p.By,
		Created: orNil(p.Created), Removed: orNil(p.Removed), kept: p,
	}
	lines, _ := profile.Lines(r.Text) // String writes nothing else
	for _, l := range lines {
		r.Settings[l.Key] = l.Value
	}
	return r
}

func profileColumns(a *app) []column[profileRow] {
	return []column[profileRow]{
		{"Name", func(r profileRow) string { return r.Name }},
		{"Version", func(r profileRow) string { return fmt.Sprint(r.Version) }},
		{"Kind", func(r profileRow) string { return string(r.kept.Kind) }},
		{"Slot", func(r profileRow) string { return fmt.Sprint(r.kept.Slot) }},
		{"Touch", func(r profileRow) string { return r.kept.Touch.String() }},
		{"Fingerprint", func(r profileRow) string { return r.Fingerprint }},
		{"Description", func(r profileRow) string { return r.kept.Description }},
		{"By", func(r profileRow) string { return r.By }},
		{"Added", func(r profileRow) string { return a.when(r.kept.Created) }},
		{"Removed", func(r profileRow) string {
			if r.Removed == nil {
				return ""
			}
			return a.when(*r.Removed)
		}},
	}
}

func newProfileListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the profiles that are offered, each in its newest version", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				all, err := d.Profiles(cmd.Context())
				if err != nil {
					return err
				}
				if len(all) == 0 {
					a.say("there is no profile yet; to begin with: tokendesk provision profile add --default")
				}
				columns := profileColumns(a)
				return list(a, "profiles", profileRows(all), columns[:len(columns)-1])
			})
		},
	}
}

func profileRows(all []desk.StoredProfile) []profileRow {
	rows := make([]profileRow, len(all))
	for i, p := range all {
		rows[i] = profileOf(p)
	}
	return rows
}

func newProfileShowCmd(a *app) *cobra.Command {
	var version int
	var all bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Print a profile, any version of it, for a person to read and sign", Args: args(1, 1, "NAME"),
		Long: `Print a profile as text: what is printed is read again by profile add. The fingerprint names exactly this text on paper.`,
		Example: `  tokendesk provision profile show staff
  tokendesk provision profile show staff --version 2
  tokendesk provision profile show staff --versions`,
		ValidArgsFunction: a.profileNames,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				kept, err := d.ProfileVersions(cmd.Context(), given[0])
				if err != nil {
					return profileProblem(err, given[0])
				}
				if all {
					return list(a, "profiles", profileRows(kept), profileColumns(a))
				}
				p := kept[0]
				if version != 0 {
					at := slices.IndexFunc(kept, func(p desk.StoredProfile) bool { return p.Version == version })
					if at < 0 {
						return problemf(exitNotFound, "the profile %s has no version %d", printable(given[0]), version).hint("see: tokendesk provision profile show %s --versions", printable(given[0]))
					}
					p = kept[at]
				}
				return a.showProfile(p)
			})
		},
	}
	cmd.Flags().IntVar(&version, "version", 0, "a former version (default the newest)")
	cmd.Flags().BoolVar(&all, "versions", false, "list all versions, those of a removed profile, too")
	cmd.MarkFlagsMutuallyExclusive("version", "versions")
	return cmd
}

// showProfile prints the text with lines to sign on; they are comments, so that it is still a profile.
func (a *app) showProfile(p desk.StoredProfile) error {
	if a.format != "table" {
		return show(a, "profile", profileOf(p), profileColumns(a))
	}
	state := ""
	if !p.Removed.IsZero() {
		state = ", removed " + a.when(p.Removed)
	}
	if p.Version > 0 {
		state = fmt.Sprintf("# %s, version %d, added %s by %s%s\n", p.Name, p.Version, a.when(p.Created), printable(p.By), state)
	}
	_, err := fmt.Fprintf(a.stdout, "%s# fingerprint %s\n\n%s\n# Released (date, signature): ______________________________________\n", state, p.Fingerprint(), p)
	return err
}

func newProfileRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Offer a profile no longer; its versions are kept", Args: args(1, 1, "NAME"),
		Long:              `Offer a profile no longer. A batch that began with it goes on with it, and profile show still prints its versions.`,
		ValidArgsFunction: a.profileNames,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				if err := d.RemoveProfile(cmd.Context(), given[0]); err != nil {
					return profileProblem(err, given[0])
				}
				a.say("the profile %s is not offered any more", printable(given[0]))
				return nil
			})
		},
	}
}

func profileProblem(err error, name string) error {
	switch {
	case errors.Is(err, token.ErrNotFound):
		return problemf(exitNotFound, "there is no profile %q", printable(name)).hint("see: tokendesk provision profile list")
	case errors.Is(err, token.ErrDuplicate):
		return problemf(exitRefused, "there is a profile %q already, and it says something else", printable(name)).
			hint("its next version: add --change; the former ones are kept")
	}
	return err
}

// profileNames completes a NAME.
func (a *app) profileNames(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	_ = a.withDesk(cmd.Context(), func(d *desk.Desk) error { // without a store there is nothing to offer
		all, err := d.Profiles(cmd.Context())
		for _, p := range all {
			out = append(out, p.Name)
		}
		return err
	})
	return out, cobra.ShellCompDirectiveNoFileComp
}
