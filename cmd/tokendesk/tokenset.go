package main

import (
	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
)

func newTokenSetCmd(a *app) *cobra.Command {
	var number, name string
	cmd := &cobra.Command{
		Use: "set QUERY [--stock-number N] [--name NAME]", Short: "Set what a token is called and found by", Args: args(1, 1, "QUERY"),
		Long: `Set the number that a token has in the inventory, and what its holder calls it. Both are found by token find, and in the
helpdesk's search. An empty value clears one. No two live tokens of a person have the same name.`,
		Example: "  tokendesk token set 12345678 --stock-number R-0017\n  tokendesk token set ada --name 'desk drawer'", ValidArgsFunction: a.tokenWords,
	}
	f := cmd.Flags()
	f.StringVar(&number, "stock-number", "", `number in the inventory; "": none any more`)
	f.StringVar(&name, "name", "", `what its holder calls it; "": nothing any more`)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		var n desk.Naming
		if f.Changed("stock-number") {
			n.StockNumber = &number
		}
		if f.Changed("name") {
			n.Name = &name
		}
		if n == (desk.Naming{}) {
			return usagef("--stock-number or --name is needed")
		}
		return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
			t, err := d.SetNames(cmd.Context(), given[0], n)
			if err != nil {
				return queryProblem(err)
			}
			return show(a, "token", tokenOf(t), tokenColumns())
		})
	}
	return cmd
}
