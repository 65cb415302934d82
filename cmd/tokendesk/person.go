package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
)

func newPersonCmd(a *app) *cobra.Command {
	return group("person", "Register the persons who hold tokens", newPersonAddCmd(a), newPersonListCmd(a), newPersonImportCmd(a))
}

// desk is what staff do, on an open store.
func (a *app) desk(st *sqlite.Store) *desk.Desk {
	return &desk.Desk{Store: st, Now: a.now, Rand: a.rand}
}

// holder finds the person of --to; nil for none.
func holder(ctx context.Context, st *sqlite.Store, account string) (*token.Person, error) {
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
		Example: `  tokendesk person add ada --name "Ada Lovelace" --mail ada@example.org`,
		RunE: func(cmd *cobra.Command, given []string) error {
			p.Account = given[0]
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			if err := a.desk(st).AddPerson(cmd.Context(), p); err != nil {
				return personProblem(err, p.Account)
			}
			a.say("person %s is registered", printable(p.Account))
			return nil
		},
	}
	cmd.Flags().StringVar(&p.Name, "name", "", "full name")
	cmd.Flags().StringVar(&p.Mail, "mail", "", "mail address")
	return cmd
}

func personProblem(err error, account string) error {
	var text *desk.TextError
	switch {
	case errors.As(err, &text):
		return usagef("%s", err)
	case errors.Is(err, token.ErrDuplicate):
		return problemf(exitRefused, "the account %q is registered already", printable(account))
	}
	return err
}

// personRow is a person as person list shows it.
type personRow struct {
	Account string    `json:"account"`
	Name    string    `json:"name,omitempty"`
	Mail    string    `json:"mail,omitempty"`
	Created time.Time `json:"created"`
}

func newPersonListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List persons", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			persons, err := a.desk(st).Persons(cmd.Context())
			if err != nil {
				return err
			}
			rows := make([]personRow, len(persons))
			for i, p := range persons {
				rows[i] = personRow{p.Account, p.Name, p.Mail, p.Created}
			}
			return list(a, "persons", rows, []column[personRow]{
				{"Account", func(p personRow) string { return p.Account }},
				{"Name", func(p personRow) string { return p.Name }},
				{"Mail", func(p personRow) string { return p.Mail }},
				{"Since", func(p personRow) string { return p.Created.Local().Format(time.DateOnly) }},
			})
		},
	}
}

func newPersonImportCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE.csv", Short: "Register the persons of a CSV file", Args: args(1, 1, "FILE.csv"),
		Long: `Register the persons of a CSV file, or of standard input for "-". Its first line names the columns account, name and
mail, in any order; only account is needed. Persons who are registered already are left as they are.`,
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

func importPersons(ctx context.Context, a *app, st *sqlite.Store, file *input) error {
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
