package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// mostHits is how many lines a search prints.
const mostHits = 50

func newTokenFindCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "find QUERY", Short: "Find persons and tokens by words", Args: args(1, 1, "QUERY"),
		Long: `Find persons and tokens by words.

The words of QUERY, in any order, are beginnings of a name, an account, a mail address, a serial number, a label or a stock
number, or the first four characters or more of a public ID; case and accents do not count. A one-time password typed into
its place finds its token. Persons without tokens are found too. The best fits come first, 50 at most.`,
		Example: "  tokendesk token find 'ada lovel'", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error { return a.search(cmd.Context(), d, given[0]) })
		},
	}
}

// hitRow is a hit as a search shows it: a person, a token, or both.
type hitRow struct {
	Account string    `json:"account,omitempty"`
	Name    string    `json:"name,omitempty"`
	Why     desk.Why  `json:"why"`
	Token   *tokenRow `json:"token,omitempty"`
}

func (r hitRow) token(show func(tokenRow) string) string {
	if r.Token == nil {
		return ""
	}
	return show(*r.Token)
}

func (a *app) search(ctx context.Context, d *desk.Desk, query string) error {
	hits, err := d.Search(ctx, query, mostHits+1)
	if err != nil {
		return personProblem(err, "")
	}
	if len(hits) > mostHits {
		hits = hits[:mostHits]
		a.say("more than %d fit; these are the first", mostHits)
	}
	rows := make([]hitRow, len(hits))
	for i, h := range hits {
		rows[i].Why = h.Why
		if h.Person != nil {
			rows[i].Account, rows[i].Name = h.Person.Account, h.Person.Name
		}
		if h.Token != nil {
			rows[i].Token = new(tokenOf(*h.Token))
		}
	}
	columns := []column[hitRow]{
		{"Person", func(r hitRow) string { return r.Account }},
		{"Name", func(r hitRow) string { return r.Name }},
	}
	for _, c := range tokenColumns() {
		switch c.name {
		case "Serial", "Label", "Model", "State":
			columns = append(columns, column[hitRow]{c.name, func(r hitRow) string { return r.token(c.show) }})
		}
	}
	return list(a, "hits", rows, append(columns, column[hitRow]{"Found by", func(r hitRow) string { return string(r.Why) }}))
}
