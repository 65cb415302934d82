package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newOATHListCmd(a *app) *cobra.Command {
	var o oathChoice
	cmd := &cobra.Command{
		Use: "list", Short: "List the accounts on a key, and what the store knows of them", Args: args(0, 0, ""),
		Long: `List the accounts of a key's OATH application. "Store" is the state of those that this store put there; one that the store has and the
key has not is listed too. No code is made of HOTP accounts, and none is shown.`,
		Example: "  tokendesk oath list\n  tokendesk oath list --serial 12345678 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAccounts(cmd.Context(), o, a.storeIfAny, func(st *sqlstore.Store, k *oathKey) error { return a.listAccounts(cmd.Context(), st, k) })
		},
	}
	o.flags(cmd, a)
	return cmd
}

func (a *app) listAccounts(ctx context.Context, st *sqlstore.Store, k *oathKey) error {
	live, err := liveAccounts(ctx, st, k.serial)
	if err != nil {
		return err
	}
	entries, err := k.session.CalculateAll(ctx, a.now())
	if err != nil {
		return err
	}
	var rows []accountRow
	for _, e := range entries {
		row := accountRowOf(k.serial, e.Account)
		if c, ours := live[e.ID()]; ours {
			row.State, row.Touch = string(c.State), e.Touch || c.Settings.Touch
			delete(live, e.ID())
		}
		rows = append(rows, row)
	}
	for _, c := range live {
		row := accountRowOf(k.serial, oathaccount.AccountOf(c))
		row.State = string(c.State) + ", but not on the key"
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(x, y accountRow) int { return cmp.Compare(x.Account, y.Account) })
	if k.session.Info().HasPassword {
		a.say("a password guards the accounts")
	}
	return list(a, "accounts", rows, accountColumns(column[accountRow]{"Store", func(r accountRow) string { return r.State }}))
}

// oathCode is a code that a key made.
type oathCode struct {
	Serial  token.Serial `json:"serial"`
	Account string       `json:"account"`
	Code    string       `json:"code,omitempty"`
	Until   *time.Time   `json:"until,omitempty"`
	Note    string       `json:"note,omitempty"`
}

func newOATHCodeCmd(a *app) *cobra.Command {
	var o oathChoice
	var single bool
	cmd := &cobra.Command{
		Use: "code [ACCOUNT]", Short: "Make codes", Args: args(0, 1, ""),
		Long: `Make the codes of all TOTP accounts that ask for no touch, or the code of one account: it is named by its whole name, or by a part of
it. A code of an HOTP account uses up a value of its counter.`,
		Example: "  tokendesk oath code\n  tokendesk oath code 'Example Ltd:ada'\n  tokendesk oath code 'Example Ltd:ada' --single | tokendesk verify --person ada",
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				return a.makeCode(cmd.Context(), o, given[0], single)
			}
			if single {
				return usagef("oath code --single: ACCOUNT is missing")
			}
			return a.makeCodes(cmd.Context(), o)
		},
	}
	o.flags(cmd, a)
	cmd.Flags().BoolVar(&single, "single", false, "print the code of one account, and nothing else")
	return cmd
}

func oathCodeOf(serial token.Serial, a oathapplet.Account, c oathapplet.Code) oathCode {
	return oathCode{Serial: serial, Account: printable(a.ID()), Code: c.Value, Until: orNil(c.Until.UTC())}
}

func oathCodeColumns() []column[oathCode] {
	return []column[oathCode]{
		{"Serial", func(r oathCode) string { return r.Serial.String() }},
		{"Account", func(r oathCode) string { return r.Account }},
		{"Code", func(r oathCode) string { return cmp.Or(r.Code, r.Note) }},
		{"Until", func(r oathCode) string {
			if r.Until == nil {
				return ""
			}
			return r.Until.Local().Format(time.TimeOnly)
		}},
	}
}

func (a *app) makeCodes(ctx context.Context, o oathChoice) error {
	return a.withAccounts(ctx, o, a.storeIfAny, func(_ *sqlstore.Store, k *oathKey) error {
		entries, err := k.session.CalculateAll(ctx, a.now())
		if err != nil {
			return err
		}
		var rows []oathCode
		for _, e := range entries {
			row := oathCodeOf(k.serial, e.Account, e.Code)
			switch {
			case e.Code.Value != "":
			case e.Kind == token.HOTP:
				row.Note = "by a counter: name it"
			default:
				row.Note = "by touch: name it"
			}
			rows = append(rows, row)
		}
		return list(a, "codes", rows, oathCodeColumns())
	})
}

func (a *app) makeCode(ctx context.Context, o oathChoice, query string, single bool) error {
	return a.withAccounts(ctx, o, a.storeIfAny, func(_ *sqlstore.Store, k *oathKey) error {
		all, err := k.session.List(ctx)
		if err != nil {
			return err
		}
		found, err := accountNamed(all, query)
		if err != nil {
			return err
		}
		a.say("if the key blinks, touch it within 15 seconds")
		code, err := k.session.Calculate(ctx, found, a.now())
		if err != nil {
			return err
		}
		if single {
			_, err := fmt.Fprintln(a.stdout, code.Value)
			return err
		}
		return show(a, "code", oathCodeOf(k.serial, found, code), oathCodeColumns())
	})
}

// withAccounts opens the store and a key's OATH application, and gives both back. open is app.openStore, or app.storeIfAny for what no store
// has to follow: st may be nil then.
func (a *app) withAccounts(ctx context.Context, o oathChoice, open func(context.Context) (*sqlstore.Store, error), use func(*sqlstore.Store, *oathKey) error) error {
	st, err := open(ctx)
	if err != nil {
		return err
	}
	defer closeStore(st)
	k, err := o.open(ctx, a, st)
	if err != nil {
		return err
	}
	defer k.close()
	return use(st, k)
}
