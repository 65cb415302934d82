package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newOperatorCmd(a *app) *cobra.Command {
	return group("operator", "Register the staff who come by the API or the pages",
		newOperatorAddCmd(a), newOperatorListCmd(a), newOperatorRevokeCmd(a), newOperatorRightsCmd(a))
}

// operatorRow is an operator as operator list shows it.
type operatorRow struct {
	Name    string      `json:"name"`
	Roles   []desk.Role `json:"roles"`
	Active  bool        `json:"active"`
	Created time.Time   `json:"created"`
}

// newOperator is an operator with the API token: a hand-over output, shown once.
type newOperator struct {
	operatorRow
	Token string `json:"api_token"`
}

func operatorOf(o desk.Operator) operatorRow {
	return operatorRow{o.Name, o.Roles, o.Active, o.Created}
}

func operatorColumns() []column[operatorRow] {
	return []column[operatorRow]{
		{"Name", func(o operatorRow) string { return o.Name }},
		{"Roles", func(o operatorRow) string { return joinRoles(o.Roles, " ") }},
		{"Active", func(o operatorRow) string { return yesNo(o.Active) }},
		{"Since", func(o operatorRow) string { return o.Created.Local().Format(time.DateOnly) }},
	}
}

func joinRoles(list []desk.Role, between string) string {
	var text []string
	for _, r := range list {
		text = append(text, string(r))
	}
	return strings.Join(text, between)
}

func newOperatorAddCmd(a *app) *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use: "add NAME --role ROLE", Short: "Register a member of staff; the API token is shown once", Args: args(1, 1, "NAME"),
		Long: `Register a member of staff. With the API token, shown once, the operator uses the API and logs in to the pages. Several roles
are joined; what each may do is told by: tokendesk operator rights.`,
		Example: "  tokendesk operator add hopper --role helpdesk\n  tokendesk operator add lovelace --role issuer --role helpdesk -o json > lovelace.json",
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(roles) == 0 {
				return usagef("operator add: --role is missing").hint("the roles are %s", joinRoles(desk.Roles(), ", "))
			}
			var list []desk.Role
			for _, r := range roles {
				list = append(list, desk.Role(r))
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				o, apiToken, err := d.AddOperator(cmd.Context(), given[0], list)
				if err != nil {
					return operatorProblem(err, given[0])
				}
				defer apiToken.Destroy()
				a.say("the API token is shown once: hand it to the operator alone")
				columns := []column[newOperator]{{"API token", func(o newOperator) string { return o.Token }}}
				for _, c := range operatorColumns() {
					columns = append(columns, column[newOperator]{c.name, func(o newOperator) string { return c.show(o.operatorRow) }})
				}
				return show(a, "operator", newOperator{operatorOf(o), string(apiToken.Reveal())}, columns)
			})
		},
	}
	cmd.Flags().StringArrayVar(&roles, "role", nil, joinRoles(desk.Roles(), ", ")+" (may be repeated)")
	complete(cmd, "role", strings.Split(joinRoles(desk.Roles(), " "), " ")...)
	return cmd
}

func operatorProblem(err error, name string) error {
	var text *desk.TextError
	switch {
	case errors.As(err, &text), errors.Is(err, desk.ErrRole):
		return usagef("%s", err)
	case errors.Is(err, token.ErrDuplicate):
		return problemf(exitRefused, "an operator of that name is or was registered already; the audit chain names operators by it").hint("use another name")
	case errors.Is(err, token.ErrNotFound):
		return problemf(exitNotFound, "there is no operator %q", printable(name)).hint("see: tokendesk operator list")
	case errors.Is(err, token.ErrConflict):
		return problemf(exitRefused, "the operator %q is revoked already", printable(name))
	}
	return err
}

func newOperatorListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List operators, revoked ones too", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				all, err := d.Operators(cmd.Context())
				if err != nil {
					return err
				}
				rows := make([]operatorRow, len(all))
				for i, o := range all {
					rows[i] = operatorOf(o)
				}
				return list(a, "operators", rows, operatorColumns())
			})
		},
	}
}

func newOperatorRevokeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End an operator with the API token and all sessions, at once", Args: args(1, 1, "NAME"),
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				if err := d.RevokeOperator(cmd.Context(), given[0]); err != nil {
					return operatorProblem(err, given[0])
				}
				a.say("operator %s is revoked and logged out", printable(given[0]))
				return nil
			})
		},
	}
}

// rightRow is one line of the table of authorisation.
type rightRow struct {
	Right desk.Right  `json:"right"`
	Roles []desk.Role `json:"roles"`
}

func newOperatorRightsCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rights", Short: "Show what each role may do", Args: args(0, 0, ""),
		Long: "Show what each role may do by the API and on the pages. Whoever runs this program on the store may do everything.",
		RunE: func(*cobra.Command, []string) error {
			var rows []rightRow
			for _, right := range desk.AllRights() {
				row := rightRow{right, []desk.Role{}}
				for _, r := range desk.Roles() {
					if r.Grants(right) {
						row.Roles = append(row.Roles, r)
					}
				}
				rows = append(rows, row)
			}
			columns := []column[rightRow]{{"Right", func(r rightRow) string { return string(r.Right) }}}
			for _, role := range desk.Roles() {
				columns = append(columns, column[rightRow]{string(role), func(r rightRow) string {
					if slices.Contains(r.Roles, role) {
						return "x"
					}
					return ""
				}})
			}
			return list(a, "rights", rows, columns)
		},
	}
}
