package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// pushOptions are the flags of keyfile push.
type pushOptions struct {
	to                    string
	dryRun, status, retry bool
}

func newKeyfilePushCmd(a *app) *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use: "push --to TARGET [QUERY…]", Short: "Enrol tokens at another server, and see how that went", Args: args(0, -1, ""),
		Long: `Enrol tokens at a server that was registered by "tokendesk target add": all that are proven, not blocked and not uncertain,
or those that are named. A token that is there already is not made again and never overwritten. What finds no answer is
kept, and --retry goes on with it; so does "token block", which disables a token wherever it was pushed to.`,
		Example: `  tokendesk keyfile push --to pi --dry-run
  tokendesk keyfile push --to pi ada
  tokendesk keyfile push --status
  tokendesk keyfile push --retry`,
		ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				switch {
				case o.status:
					return a.pushStatus(cmd.Context(), d, given)
				case o.retry:
					return a.retryPushes(cmd.Context(), d, given)
				}
				return a.pushTo(cmd.Context(), d, o, given)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "target to enrol them at")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be sent, and send nothing")
	f.BoolVar(&o.status, "status", false, "list what was pushed where")
	f.BoolVar(&o.retry, "retry", false, "go on with what targets have not confirmed")
	if err := cmd.RegisterFlagCompletionFunc("to", a.targetWords); err != nil { // the flag was added above
		panic(err)
	}
	return cmd
}

func (o pushOptions) check() error {
	ways := 0
	for _, on := range []bool{o.to != "", o.status, o.retry} {
		if on {
			ways++
		}
	}
	switch {
	case ways == 0:
		return usagef("--to is missing: the target").hint("see: tokendesk target list")
	case ways > 1:
		return usagef("--to, --status and --retry exclude each other")
	case o.dryRun && o.to == "":
		return usagef("--dry-run goes with --to")
	}
	return nil
}

// pushedRow is what became of one credential at one target.
type pushedRow struct {
	Token      string           `json:"token"`
	Target     string           `json:"target"`
	Serial     string           `json:"serial,omitempty"` // there
	Status     desk.PushOutcome `json:"status"`
	Note       string           `json:"note,omitempty"`
	StillValid bool             `json:"still_valid"`
}

// state is "waiting, still valid there".
func (r pushedRow) state() string {
	if r.StillValid {
		return string(r.Status) + ", still valid there"
	}
	return string(r.Status)
}

func pushedColumns() []column[pushedRow] {
	return []column[pushedRow]{
		{"Token", func(r pushedRow) string { return r.Token }},
		{"Target", func(r pushedRow) string { return r.Target }},
		{"Serial there", func(r pushedRow) string { return r.Serial }},
		{"Status", pushedRow.state},
		{"Note", func(r pushedRow) string { return r.Note }},
	}
}

func (a *app) pushTo(ctx context.Context, d *desk.Desk, o pushOptions, queries []string) error {
	act := d.Push
	if o.dryRun {
		act = d.PlanPush
	}
	n, results, err := act(ctx, a.connect, o.to, queries...)
	if err != nil {
		return queryProblem(err)
	}
	if n == 0 {
		return problemf(exitNotFound, "there is nothing to push").
			hint("the default set is proven, not blocked and not uncertain; others are pushed by name")
	}
	return a.reportPushes(results, n)
}

func (a *app) retryPushes(ctx context.Context, d *desk.Desk, queries []string) error {
	var tokens []token.ID
	for _, q := range queries {
		t, err := d.Find(ctx, q)
		if err != nil {
			return queryProblem(err)
		}
		tokens = append(tokens, t.ID)
	}
	return a.reportPushes(d.Settle(ctx, a.connect, tokens...), 0)
}

// reportPushes does them as it lists them. n is how many were announced; 0: nobody knows.
func (a *app) reportPushes(results iter.Seq2[desk.Pushed, error], n int) error {
	report := lossReport{notes: map[string]string{}}
	var rows []pushedRow
	var failed error
	count := map[desk.PushOutcome]int{}
	for p, err := range results {
		if err != nil {
			failed = err
			break
		}
		rows = append(rows, pushedRow{p.Token, p.Target, p.Serial, p.Outcome, p.Note, p.StillValid})
		count[p.Outcome]++
		if len(p.Loss) > 0 && p.Outcome != desk.Refused {
			report.add(p.Token, p.Loss)
		}
	}
	if len(report.groups) > 0 {
		a.say("what the target does not keep:")
		report.say(a)
	}
	if err := list(a, "pushes", rows, pushedColumns()); err != nil {
		return err
	}
	return pushProblem(len(rows), n, count, failed)
}

// pushProblem is nil if all is done: exit code 8 where something waits or others are done, 5 if all were refused.
func pushProblem(seen, n int, count map[desk.PushOutcome]int, failed error) error {
	refused, waiting := count[desk.Refused], count[desk.Waiting]
	switch {
	case failed != nil && seen == 0:
		return failed
	case failed != nil:
		p := problemf(exitPartly, "ended after %d: %s", seen, explain(failed).line)
		if n > 0 {
			p.line = fmt.Sprintf("ended after %d of %d: %s", seen, n, explain(failed).line)
		}
		return p.hint("go on with what was begun: tokendesk keyfile push --retry")
	case waiting > 0:
		return problemf(exitPartly, "%d of %d not done", refused+waiting, seen).hint("go on with it: tokendesk keyfile push --retry")
	case refused == seen && refused > 0:
		return problemf(exitRefused, "refused: %d of %d", refused, seen).hint("the column Note says why")
	case refused > 0:
		return problemf(exitPartly, "refused: %d of %d", refused, seen).hint("the column Note says why")
	}
	return nil
}

// statusRow is a credential at a target as keyfile push --status shows it.
type statusRow struct {
	Token      string      `json:"token"`
	Target     string      `json:"target"`
	Serial     string      `json:"serial"` // there
	Wanted     desk.Wanted `json:"wanted"`
	Settled    bool        `json:"settled"`
	StillValid bool        `json:"still_valid"` // blocked or replaced here, and maybe not there
	Attempts   int         `json:"attempts"`
	Tried      *time.Time  `json:"tried,omitempty"`
	Error      string      `json:"error,omitempty"`
}

// state is "enrolled", "not yet disabled: still valid".
func (r statusRow) state() string {
	switch {
	case r.Settled:
		return string(r.Wanted)
	case r.StillValid:
		return "not yet disabled: still valid there"
	}
	return "not yet " + string(r.Wanted)
}

func (a *app) pushStatus(ctx context.Context, d *desk.Desk, queries []string) error {
	all, err := d.PushStatus(ctx, queries...)
	if err != nil {
		return queryProblem(err)
	}
	var rows []statusRow
	for _, p := range all {
		r := statusRow{desk.Name(p.Token), p.Target.Name, p.Place.Serial, p.Wanted, p.Settled(), p.StillValid(), p.Attempts, nil, p.Error}
		if !p.Tried.IsZero() {
			r.Tried = &p.Tried
		}
		rows = append(rows, r)
	}
	return list(a, "pushes", rows, []column[statusRow]{
		{"Token", func(r statusRow) string { return r.Token }},
		{"Target", func(r statusRow) string { return r.Target }},
		{"Serial there", func(r statusRow) string { return r.Serial }},
		{"State", statusRow.state},
		{"Tries", func(r statusRow) string { return fmt.Sprint(r.Attempts) }},
		{"Tried", func(r statusRow) string {
			if r.Tried == nil {
				return ""
			}
			return a.when(*r.Tried)
		}},
		{"Error", func(r statusRow) string { return r.Error }},
	})
}
