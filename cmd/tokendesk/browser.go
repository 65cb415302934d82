package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newBrowserCmd(a *app) *cobra.Command {
	return group("browser", "Look at the browsers in which a person is not asked for a code, and end that", newBrowserListCmd(a), newBrowserRevokeCmd(a))
}

// browserRow is a trusted browser as browser list shows it.
type browserRow struct {
	ID      int64      `json:"id"`
	Name    string     `json:"name,omitempty"`
	Client  int64      `json:"client"`
	Created time.Time  `json:"created"`
	Used    *time.Time `json:"used,omitempty"`
	Expires time.Time  `json:"expires"`
}

func newBrowserListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list PERSON", Short: "List the browsers that are trusted now", Args: args(1, 1, "PERSON"), ValidArgsFunction: a.accounts,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				all, err := d.Browsers(cmd.Context(), given[0])
				if err != nil {
					return personGone(err, given[0])
				}
				var rows []browserRow
				for _, b := range all {
					if !b.Live(a.now()) {
						continue
					}
					r := browserRow{b.ID, b.Name, b.Client, b.Created, nil, b.Expires}
					if !b.Used.IsZero() {
						r.Used = &b.Used
					}
					rows = append(rows, r)
				}
				return list(a, "browsers", rows, []column[browserRow]{
					{"ID", func(r browserRow) string { return strconv.FormatInt(r.ID, 10) }},
					{"Name", func(r browserRow) string { return r.Name }},
					{"Client ID", func(r browserRow) string { return strconv.FormatInt(r.Client, 10) }},
					{"Since", func(r browserRow) string { return a.when(r.Created) }},
					{"Used", func(r browserRow) string {
						if r.Used == nil {
							return ""
						}
						return a.when(*r.Used)
					}},
					{"Until", func(r browserRow) string { return a.when(r.Expires) }},
				})
			})
		},
	}
}

func newBrowserRevokeCmd(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "revoke PERSON [ID]", Short: "Ask for a code in a browser again, at once", Args: args(1, 2, "PERSON"), ValidArgsFunction: a.accounts,
		Example: "  tokendesk browser revoke ada 7\n  tokendesk browser revoke ada --all",
		RunE: func(cmd *cobra.Command, given []string) error {
			if all == (len(given) == 2) {
				return usagef("browser revoke: either ID or --all").hint("see: tokendesk browser list %s", printable(given[0]))
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				if all {
					n, err := d.RevokeBrowsers(cmd.Context(), given[0])
					if err != nil {
						return personGone(err, given[0])
					}
					a.say("%s of %s: a code is asked for again", count(n, "browser"), printable(given[0]))
					return nil
				}
				id, err := strconv.ParseInt(given[1], 10, 64)
				if err != nil {
					return usagef("browser revoke: ID is a number")
				}
				err = d.RevokeBrowser(cmd.Context(), given[0], id)
				if errors.Is(err, token.ErrNotFound) {
					return problemf(exitNotFound, "%s trusts no browser %d", printable(given[0]), id).hint("see: tokendesk browser list %s", printable(given[0]))
				}
				if err == nil {
					a.say("browser %d of %s: a code is asked for again", id, printable(given[0]))
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every browser of the person")
	return cmd
}
