package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newPersonCmd(a *app) *cobra.Command {
	return group("person", "Register the persons who hold tokens",
		newPersonAddCmd(a), newPersonListCmd(a), newPersonShowCmd(a), newPersonGroupCmd(a), newPersonImportCmd(a))
}

// desk is what staff do, on an open store.
func (a *app) desk(st *sqlstore.Store) *desk.Desk {
	return &desk.Desk{Store: st, Now: a.now, Rand: a.rand}
}

// holder finds the person of --to; nil for none.
func holder(ctx context.Context, st *sqlstore.Store, account string) (*token.Person, error) {
	if account == "" {
		return nil, nil
	}
	p, err := st.Person(ctx, account)
	if errors.Is(err, token.ErrNotFound) {
		return nil, noPerson(account)
	}
	return &p, err
}

func noPerson(account string) error {
	return problemf(exitNotFound, "there is no person with the account %q", printable(account)).
		hint("add one: tokendesk person add ACCOUNT")
}

func newPersonAddCmd(a *app) *cobra.Command {
	var p token.Person
	cmd := &cobra.Command{
		Use: "add ACCOUNT", Short: "Register a person", Args: args(1, 1, "ACCOUNT"),
		Example: `  tokendesk person add ada --name "Ada Lovelace" --mail ada@example.org --group staff`,
		RunE: func(cmd *cobra.Command, given []string) error {
			p.Account = given[0]
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				if err := d.AddPerson(cmd.Context(), p); err != nil {
					return personProblem(err, p.Account)
				}
				a.say("person %s is registered", printable(p.Account))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&p.Name, "name", "", "full name")
	cmd.Flags().StringVar(&p.Mail, "mail", "", "mail address")
	cmd.Flags().StringArrayVar(&p.Groups, "group", nil, "group that the person is in: what clients may ask about goes by it (may be repeated)")
	return cmd
}

func personProblem(err error, account string) error {
	var text *desk.TextError
	switch {
	case errors.As(err, &text):
		return usagef("%s", err)
	case errors.Is(err, token.ErrDuplicate):
		return problemf(exitRefused, "the account %q is registered already", printable(account))
	case errors.Is(err, token.ErrNotFound):
		return noPerson(account)
	}
	return err
}

// personRow is a person as person list shows it.
type personRow struct {
	Account string    `json:"account"`
	Name    string    `json:"name,omitempty"`
	Mail    string    `json:"mail,omitempty"`
	Groups  []string  `json:"groups"`
	Created time.Time `json:"created"`
}

func personOf(p token.Person) personRow {
	return personRow{p.Account, p.Name, p.Mail, append([]string{}, p.Groups...), p.Created}
}

func personColumns() []column[personRow] {
	return []column[personRow]{
		{"Account", func(p personRow) string { return p.Account }},
		{"Name", func(p personRow) string { return p.Name }},
		{"Mail", func(p personRow) string { return p.Mail }},
		{"Groups", func(p personRow) string { return strings.Join(p.Groups, "; ") }},
		{"Since", func(p personRow) string { return p.Created.Local().Format(time.DateOnly) }},
	}
}

func newPersonListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List persons", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				persons, err := d.Persons(cmd.Context())
				if err != nil {
					return err
				}
				rows := make([]personRow, len(persons))
				for i, p := range persons {
					rows[i] = personOf(p)
				}
				return list(a, "persons", rows, personColumns())
			})
		},
	}
}

// shownPerson is a person with the tokens held, as person show writes it.
type shownPerson struct {
	personRow
	Tokens []string `json:"tokens"`
}

func newPersonShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show ACCOUNT", Short: "Show a person with groups and tokens", Args: args(1, 1, "ACCOUNT"),
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				p, held, err := d.Person(cmd.Context(), given[0])
				if err != nil {
					return personProblem(err, given[0])
				}
				s := shownPerson{personOf(p), []string{}}
				for _, t := range held {
					t.Holder = nil
					s.Tokens = append(s.Tokens, fmt.Sprintf("%s: %s", desk.Name(t), t.State))
				}
				var columns []column[shownPerson]
				for _, c := range personColumns() {
					columns = append(columns, column[shownPerson]{c.name, func(s shownPerson) string { return c.show(s.personRow) }})
				}
				columns = append(columns, column[shownPerson]{"Tokens", func(s shownPerson) string { return strings.Join(s.Tokens, "; ") }})
				return show(a, "person", s, columns)
			})
		},
	}
}

func newPersonGroupCmd(a *app) *cobra.Command {
	var add, remove []string
	cmd := &cobra.Command{
		Use: "group ACCOUNT", Short: "Put a person into groups, or take the person out of some", Args: args(1, 1, "ACCOUNT"),
		Long: `Put a person into groups, or take the person out of some. A client that was given groups may ask about persons in one of
them; that counts at once, in every server process.`,
		Example: "  tokendesk person group ada --add staff --remove guests",
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(add)+len(remove) == 0 {
				return usagef("person group: neither --add nor --remove was given").hint("see: tokendesk person group --help")
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				p, err := d.Group(cmd.Context(), given[0], add, remove)
				if err != nil {
					return personProblem(err, given[0])
				}
				return show(a, "person", personOf(p), personColumns())
			})
		},
	}
	cmd.Flags().StringArrayVar(&add, "add", nil, "group (may be repeated)")
	cmd.Flags().StringArrayVar(&remove, "remove", nil, "group (may be repeated)")
	return cmd
}

func newPersonImportCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE.csv", Short: "Register the persons of a CSV file", Args: args(1, 1, "FILE.csv"),
		Long: `Register the persons of a CSV file, or of standard input for "-". Its first line names the columns account, name,
mail and groups, in any order; only account is needed. Semicolons stand between groups. Persons who are registered already are
left as they are.`,
		Example: "  tokendesk person import staff.csv\n  printf 'account,name\\nada,Ada Lovelace\\n' | tokendesk person import -",
		RunE: func(cmd *cobra.Command, given []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			in, err := a.openInput(cmd.Context(), given[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // read only
			return importPersons(cmd.Context(), a, st, in)
		},
	}
}

func importPersons(ctx context.Context, a *app, st *sqlstore.Store, file *input) error {
	in := bufio.NewReader(file)
	if _, err := in.Peek(1); err == io.EOF {
		return usagef("%s is empty", file.name)
	}
	var t tally
	err := a.desk(st).ImportPersons(ctx, in, func(r desk.PersonRow) {
		switch {
		case r.Err != nil:
			t.bad(r.Err.Error())
		case r.Added:
			t.done++
		default:
			t.same++
		}
	})
	if err == nil || t.rows() > 0 {
		a.say("%d registered, %d known already, %d refused", t.done, t.same, t.refused)
	}
	if err != nil {
		return err
	}
	return t.problem("the others are registered")
}

// accounts are offered for --to.
func (a *app) accounts(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	st, err := a.openStore(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer func() { _ = st.Close() }()
	persons, _ := a.desk(st).Persons(cmd.Context()) // what cannot be read is not offered
	var words []string
	for _, p := range persons {
		words = append(words, fmt.Sprintf("%s\t%s", p.Account, p.Name))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
