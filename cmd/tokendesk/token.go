package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newTokenCmd(a *app) *cobra.Command {
	cmd := group("token", "Look at tokens, make app tokens, block lost ones and bring them back",
		newTokenListCmd(a), newTokenShowCmd(a), newTokenAddCmd(a), newTokenQRCmd(a), newTokenCalibrateCmd(a), newTokenBlockCmd(a), newTokenRestoreCmd(a))
	cmd.Long = `Look at tokens, make app tokens, block lost ones and bring them back.

A QUERY is a serial number, a public ID, a stock number or label, a person's account or name, or a one-time password typed
into its place. More than one hit is an error that lists them, never a guess.`
	return cmd
}

// withDesk opens the store for one act of staff.
func (a *app) withDesk(ctx context.Context, act func(*desk.Desk) error) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	return act(a.desk(st))
}

// queryProblem says that a QUERY fits nothing. The query is not repeated: it may be a one-time password.
func queryProblem(err error) error {
	if errors.Is(err, token.ErrNotFound) {
		return problemf(exitNotFound, "no token fits the query").hint("see: tokendesk token list")
	}
	return err
}

// tokenRow is a token as token list shows it.
type tokenRow struct {
	Serial   token.Serial `json:"serial,omitempty"`
	Label    string       `json:"label,omitempty"`
	Model    token.Model  `json:"model"`
	Firmware string       `json:"firmware,omitempty"`
	State    token.State  `json:"state"`
	Reason   token.Reason `json:"reason,omitempty"`
	Holder   string       `json:"holder,omitempty"`
	Created  time.Time    `json:"created"`
}

func tokenOf(t token.Token) tokenRow {
	r := tokenRow{t.Serial, t.Label, t.Model, t.Firmware, t.State, t.Reason, "", t.Created}
	if t.Holder != nil {
		r.Holder = t.Holder.Account
	}
	return r
}

// stateText is the state with the reason behind it: "lost (stolen)".
func (r tokenRow) stateText() string {
	if r.Reason != "" && string(r.Reason) != string(r.State) {
		return fmt.Sprintf("%s (%s)", r.State, r.Reason)
	}
	return string(r.State)
}

func tokenColumns() []column[tokenRow] {
	return []column[tokenRow]{
		{"Serial", func(r tokenRow) string { return r.Serial.String() }},
		{"Label", func(r tokenRow) string { return r.Label }},
		{"Model", func(r tokenRow) string { return string(r.Model) }},
		{"Firmware", func(r tokenRow) string { return r.Firmware }},
		{"State", tokenRow.stateText},
		{"Holder", func(r tokenRow) string { return r.Holder }},
		{"Since", func(r tokenRow) string { return r.Created.Local().Format(time.DateOnly) }},
	}
}

func newTokenListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all tokens", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				all, err := d.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				rows := make([]tokenRow, len(all))
				for i, t := range all {
					rows[i] = tokenOf(t)
				}
				return list(a, "tokens", rows, tokenColumns())
			})
		},
	}
}

// credentialRow is a credential as token show shows it: no secret, and only whether there is an access code.
type credentialRow struct {
	Slot       token.Slot  `json:"slot,omitempty"`
	Kind       token.Kind  `json:"kind"`
	PublicID   string      `json:"public_id,omitempty"`
	State      token.State `json:"state"`
	Validates  bool        `json:"validates"`
	Counters   string      `json:"counters,omitempty"`
	AccessCode bool        `json:"access_code"`
	ProvenAt   *time.Time  `json:"proven_at,omitempty"`
	Created    time.Time   `json:"created"`
}

func credentialOf(c token.Credential) credentialRow {
	r := credentialRow{
		Slot: c.Slot, Kind: c.Kind, PublicID: c.PublicID.String(), State: c.State, Validates: c.Enabled,
		AccessCode: c.Settings.HasAccessCode, Created: c.Created,
	}
	if c.Counters.Use >= 0 {
		r.Counters = fmt.Sprintf("%d/%d", c.Counters.Use, c.Counters.Session)
	}
	if !c.ProvenAt.IsZero() {
		r.ProvenAt = &c.ProvenAt
	}
	return r
}

// shownToken is a token with everything on it.
type shownToken struct {
	tokenRow
	Credentials []credentialRow `json:"credentials"`
}

func newTokenShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show QUERY", Short: "Show one token and everything on it", Args: args(1, 1, "QUERY"),
		Example: "  tokendesk token show 12345678\n  tokendesk token show ada -o json", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				t, credentials, err := d.Show(cmd.Context(), given[0])
				if err != nil {
					return queryProblem(err)
				}
				rows := make([]credentialRow, len(credentials))
				for i, c := range credentials {
					rows[i] = credentialOf(c)
				}
				return a.showToken(t, rows)
			})
		},
	}
}

func (a *app) showToken(t token.Token, rows []credentialRow) error {
	if a.format == "json" {
		return writeJSON(a.stdout, "token", shownToken{tokenOf(t), rows})
	}
	if a.format == "table" {
		if err := show(a, "token", tokenOf(t), tokenColumns()); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.stdout); err != nil {
			return err
		}
	}
	return list(a, "credentials", rows, []column[credentialRow]{
		{"Slot", func(c credentialRow) string { return strings.TrimPrefix(fmt.Sprint(c.Slot), "0") }},
		{"Kind", func(c credentialRow) string { return string(c.Kind) }},
		{"Public ID", func(c credentialRow) string { return c.PublicID }},
		{"State", func(c credentialRow) string { return string(c.State) }},
		{"Validates", func(c credentialRow) string { return yesNo(c.Validates) }},
		{"Counters", func(c credentialRow) string { return c.Counters }},
		{"Access code", func(c credentialRow) string { return yesNo(c.AccessCode) }},
		{"Since", func(c credentialRow) string { return c.Created.Local().Format(time.DateOnly) }},
	})
}

func newTokenBlockCmd(a *app) *cobra.Command {
	var reason, note string
	words := make([]string, 0, len(token.Reasons()))
	for _, r := range token.Reasons() {
		words = append(words, string(r))
	}
	cmd := &cobra.Command{
		Use: "block QUERY --reason " + strings.Join(words, "|"), Short: "Block a token and everything on it, at once", Args: args(1, 1, "QUERY"),
		Long: `Block a token and every credential on it. When the command returns, no server process accepts a one-time password of
it. Lost, stolen and damaged tokens become lost, forgotten ones and those of people who left are suspended; both come
back by "tokendesk token restore".

Then it is disabled at every target that it was pushed to (see "tokendesk keyfile push"). A target that does not answer is
asked again for up to two minutes; until it confirmed, the token is still valid there, which is said, with exit code 8.`,
		Example: "  tokendesk token block ada --reason lost\n  tokendesk token block 12345678 --reason stolen --note 'train, 7 May'", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			if reason == "" {
				return usagef("--reason is missing").hint("it is one of: %s", strings.Join(words, ", "))
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				was, t, err := d.Block(cmd.Context(), given[0], token.Reason(reason), note)
				if err != nil {
					return queryProblem(err)
				}
				a.sayBlocked(was, t, token.Reason(reason))
				return a.showSettled(cmd.Context(), d, t)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", strings.Join(words, ", "))
	cmd.Flags().StringVar(&note, "note", "", "kept in the audit chain")
	complete(cmd, "reason", words...)
	return cmd
}

// showSettled shows the token as it is here, and then sees to the targets.
func (a *app) showSettled(ctx context.Context, d *desk.Desk, t token.Token) error {
	shown := show(a, "token", tokenOf(t), tokenColumns()) // nobody may read it, and the targets are asked all the same
	if err := a.settleTargets(ctx, d, t); err != nil {
		return err
	}
	return shown
}

// sayBlocked says what a block did, and what was so before.
func (a *app) sayBlocked(was, now token.Token, reason token.Reason) {
	switch {
	case !was.State.Blocked():
		a.say("%s is blocked: no server accepts its one-time passwords from now on", desk.Name(now))
	case was.Reason == reason:
		a.say("%s is blocked already (reason %s)", desk.Name(now), was.Reason)
	case now.Reason == reason:
		a.say("%s is blocked already (reason %s); the reason is now %s", desk.Name(now), was.Reason, reason)
	default:
		a.say("%s is blocked already (reason %s), and stays so; %s is noted in the audit chain", desk.Name(now), was.Reason, reason)
	}
}

func newTokenRestoreCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "restore QUERY", Short: "Bring a blocked token back, with a fresh one-time password of it", Args: args(1, 1, "QUERY"),
		Long: `Bring a blocked token back. A fresh one-time password of it is asked for, or read from standard input: it must be newer
than anything that was accepted before or seen while the token was blocked, and counts as used afterwards.

Then it is enabled again at the targets that it was pushed to.`,
		Example: "  tokendesk token restore ada", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				if _, err := d.Find(cmd.Context(), given[0]); err != nil {
					return queryProblem(err)
				}
				otp, err := a.askOTP(cmd.Context(), "Touch the key (the one-time password is not shown):")
				if err != nil {
					return err
				}
				t, outcome, err := d.Restore(cmd.Context(), given[0], otp)
				if err != nil {
					return err
				}
				if outcome != desk.Restored {
					return problemf(exitVerify, "%s stays blocked: %s", desk.Name(t), outcome).hint("touch the key again and repeat the command")
				}
				a.say("%s is back", desk.Name(t))
				return a.showSettled(cmd.Context(), d, t)
			})
		},
	}
}

// tokenWords offers serials, labels and holders.
func (a *app) tokenWords(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if len(given) == 0 {
		// What cannot be read is not offered.
		_ = a.withDesk(cmd.Context(), func(d *desk.Desk) error {
			all, err := d.Tokens(cmd.Context())
			for _, t := range all {
				if word := cmp.Or(t.Serial.String(), t.Label); word != "" {
					words = append(words, word+"\t"+desk.Name(t))
				}
			}
			return err
		})
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// explainDesk: what staff asked for.
func explainDesk(err error, x *explained) bool {
	var several *desk.AmbiguousError
	var text *desk.TextError
	switch {
	case errors.As(err, &several):
		x.code = exitAmbiguous
		x.line = fmt.Sprintf("%d tokens fit, and only one can be meant", len(several.Tokens))
		for _, t := range several.Tokens {
			x.hints = append(x.hints, desk.Name(t))
		}
	case errors.Is(err, desk.ErrReason), errors.As(err, &text):
		x.code = exitUsage
	default:
		return false
	}
	return true
}
