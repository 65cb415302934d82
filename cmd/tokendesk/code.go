package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newCodeCmd(a *app) *cobra.Command {
	return group("code", "Make codes that stand in for a token: temporary and recovery codes", newCodeTempCmd(a), newCodeRecoveryCmd(a))
}

// newTempCode is a temporary code: a hand-over output, shown once.
type newTempCode struct {
	Code    string    `json:"code"`
	Spoken  string    `json:"spoken,omitempty"`
	Account string    `json:"account"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
	Client  string    `json:"client,omitempty"`
}

// newRecoveryCode is one line of a sheet: a hand-over output, shown once.
type newRecoveryCode struct {
	Number int    `json:"number"`
	Code   string `json:"code"`
	Spoken string `json:"spoken,omitempty"`
}

// codeRow is a code without its value.
type codeRow struct {
	ID       int64         `json:"id"`
	Kind     desk.CodeKind `json:"kind"`
	State    string        `json:"state"` // "live", "used up", "expired" or "revoked"
	UsesLeft int           `json:"uses_left"`
	Expires  *time.Time    `json:"expires,omitempty"`
	Client   int64         `json:"client,omitempty"`
	Created  time.Time     `json:"created"`
}

func codeOf(c desk.Code, now time.Time) codeRow {
	r := codeRow{c.ID, c.Kind, "live", c.UsesLeft, nil, c.Client, c.Created}
	if !c.Expires.IsZero() {
		r.Expires = &c.Expires
	}
	switch {
	case !c.Revoked.IsZero():
		r.State = "revoked"
	case c.UsesLeft == 0:
		r.State = "used up"
	case !c.Live(now):
		r.State = "expired"
	}
	return r
}

// codeFlags are what both kinds of codes have in common.
type codeFlags struct {
	kind           desk.CodeKind
	status, revoke bool
	speak          string
}

func (f *codeFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.status, "status", false, "only list what there is, without the codes")
	cmd.Flags().BoolVar(&f.revoke, "revoke", false, "only revoke what there is")
	cmd.Flags().StringVar(&f.speak, "speak", "", "also spell the codes for the telephone, in de or en")
	complete(cmd, "speak", "de", "en")
}

// codeCmd runs what the flags say; make makes new codes.
func (a *app) codeCmd(ctx context.Context, account string, f codeFlags, make func(*desk.Desk) error) error {
	if f.status && f.revoke {
		return usagef("--status and --revoke exclude each other")
	}
	if f.speak != "" && token.SpellSpoken("", f.speak) == nil {
		return usagef("--speak: de and en are possible")
	}
	return a.withDesk(ctx, func(d *desk.Desk) error {
		err := make
		switch {
		case f.status:
			err = func(d *desk.Desk) error { return a.listCodes(ctx, d, account, f.kind) }
		case f.revoke:
			err = func(d *desk.Desk) error { return a.revokeCodes(ctx, d, account, f.kind) }
		}
		return personGone(err(d), account)
	})
}

// personGone says that there is no such person.
func personGone(err error, account string) error {
	if errors.Is(err, token.ErrNotFound) {
		return noPerson(account)
	}
	return err
}

func newCodeTempCmd(a *app) *cobra.Command {
	var c desk.TempCode
	var client string
	f := codeFlags{kind: desk.TempCodes}
	cmd := &cobra.Command{
		Use: "temp PERSON", Short: "Make a temporary code, which is shown once; the former one is revoked", Args: args(1, 1, "PERSON"),
		Long: `Make a code that a person types instead of a one-time password, for some hours and some log-ins. It is shown once, and kept as a
keyed hash. There is one at a time: a new one revokes the former. The person gets a notice, without the code.`,
		Example:           "  tokendesk code temp ada --valid 8h --uses 3 --speak en\n  tokendesk code temp ada --client vpn\n  tokendesk code temp ada --revoke",
		ValidArgsFunction: a.accounts,
		RunE: func(cmd *cobra.Command, given []string) error {
			account := given[0]
			if c.Uses == 0 || c.Valid == 0 {
				return usagef("--uses and --valid are more than 0")
			}
			return a.codeCmd(cmd.Context(), account, f, func(d *desk.Desk) error {
				if client != "" {
					k, err := d.Client(cmd.Context(), client)
					if err != nil {
						return clientProblem(err, client)
					}
					c.Client, client = k.ID, k.Name
				}
				value, code, err := d.TempCode(cmd.Context(), account, c)
				if err != nil {
					return err
				}
				defer value.Destroy()
				a.say("the code is shown once; read it to %s, and to nobody else", printable(account))
				shown := newTempCode{shownCode(value), spoken(value, f.speak), account, code.UsesLeft, code.Expires, client}
				return show(a, "code", shown, a.tempColumns(f.speak))
			})
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&c.Valid, "valid", desk.DefaultTempTime, "how long it is good, a minute to 72h")
	cmd.Flags().IntVar(&c.Uses, "uses", desk.DefaultTempUses, "how many log-ins, 1 to 20")
	cmd.Flags().StringVar(&client, "client", "", "the only relying server that takes it, by name or number")
	cmd.Flags().StringVar(&c.Note, "note", "", "kept in the audit chain")
	return cmd
}

func (a *app) tempColumns(speak string) []column[newTempCode] {
	columns := []column[newTempCode]{{"Code", func(c newTempCode) string { return c.Code }}}
	if speak != "" {
		columns = append(columns, column[newTempCode]{"Spoken", func(c newTempCode) string { return c.Spoken }})
	}
	return append(columns, []column[newTempCode]{
		{"Account", func(c newTempCode) string { return c.Account }},
		{"Log-ins", func(c newTempCode) string { return strconv.Itoa(c.Uses) }},
		{"Until", func(c newTempCode) string { return a.when(c.Expires) }},
		{"Only for", func(c newTempCode) string { return c.Client }},
	}...)
}

func shownCode(v secret.Bytes) string { return token.ShowSpoken(string(v.Reveal())) }

// spoken are the words for a code; "" without a language.
func spoken(v secret.Bytes, language string) string {
	return strings.Join(token.SpellSpoken(string(v.Reveal()), language), " ")
}

func newCodeRecoveryCmd(a *app) *cobra.Command {
	var n int
	f := codeFlags{kind: desk.RecoveryCodes}
	cmd := &cobra.Command{
		Use: "recovery PERSON", Short: "Make a sheet of recovery codes, which is shown once; the former one is revoked", Args: args(1, 1, "PERSON"),
		Long: `Make codes that a person keeps for the day when the token is gone: each is good for one log-in, for ever. They are shown once, and
kept as keyed hashes. The former sheet is revoked, and browsers that were trusted are not any more. The person gets a notice.`,
		Example:           "  tokendesk code recovery ada > sheet.txt\n  tokendesk code recovery ada --status",
		ValidArgsFunction: a.accounts,
		RunE: func(cmd *cobra.Command, given []string) error {
			if n == 0 {
				return usagef("--count: 1 to 20 are possible")
			}
			return a.codeCmd(cmd.Context(), given[0], f, func(d *desk.Desk) error {
				values, err := d.RecoveryCodes(cmd.Context(), given[0], n)
				if err != nil {
					return err
				}
				rows := make([]newRecoveryCode, len(values))
				for i, v := range values {
					defer v.Destroy()
					rows[i] = newRecoveryCode{i + 1, shownCode(v), spoken(v, f.speak)}
				}
				a.say("the codes are shown once; the former ones of %s are revoked", printable(given[0]))
				columns := []column[newRecoveryCode]{
					{"Number", func(r newRecoveryCode) string { return strconv.Itoa(r.Number) }},
					{"Code", func(r newRecoveryCode) string { return r.Code }},
				}
				if f.speak != "" {
					columns = append(columns, column[newRecoveryCode]{"Spoken", func(r newRecoveryCode) string { return r.Spoken }})
				}
				return list(a, "codes", rows, columns)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&n, "count", desk.DefaultSheet, "how many codes, 1 to 20")
	return cmd
}

func (a *app) listCodes(ctx context.Context, d *desk.Desk, account string, kind desk.CodeKind) error {
	all, err := d.Codes(ctx, account)
	if err != nil {
		return err
	}
	var rows []codeRow
	live := 0
	for _, c := range all {
		if c.Kind != kind {
			continue
		}
		if c.Live(a.now()) {
			live++
		}
		rows = append(rows, codeOf(c, a.now()))
	}
	a.say("%s of %s may be used", count(live, fmt.Sprintf("%s code", kindWord(kind))), printable(account))
	return list(a, "codes", rows, []column[codeRow]{
		{"ID", func(r codeRow) string { return strconv.FormatInt(r.ID, 10) }},
		{"State", func(r codeRow) string { return r.State }},
		{"Uses left", func(r codeRow) string { return strconv.Itoa(r.UsesLeft) }},
		{"Until", func(r codeRow) string {
			if r.Expires == nil {
				return ""
			}
			return a.when(*r.Expires)
		}},
		{"Client ID", func(r codeRow) string {
			if r.Client == 0 {
				return ""
			}
			return strconv.FormatInt(r.Client, 10)
		}},
		{"Made", func(r codeRow) string { return a.when(r.Created) }},
	})
}

func (a *app) revokeCodes(ctx context.Context, d *desk.Desk, account string, kind desk.CodeKind) error {
	n, err := d.RevokeCodes(ctx, account, kind)
	if err == nil {
		a.say("%s of %s revoked", count(n, kindWord(kind)+" code"), printable(account))
	}
	return err
}

// kindWord is what people call a kind of codes.
func kindWord(k desk.CodeKind) string {
	if k == desk.TempCodes {
		return "temporary"
	}
	return string(k)
}
