package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"iter"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newAuditCmd(a *app) *cobra.Command {
	return group("audit", "Read and check the chain of everything that was done", newAuditListCmd(a), newAuditVerifyCmd(a))
}

// auditOptions are the flags of audit list.
type auditOptions struct {
	last   int
	since  time.Duration
	object string
	raw    bool
}

func newAuditListCmd(a *app) *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use: "list", Short: "List what was done, by whom, to what", Args: args(0, 0, ""),
		Example: "  tokendesk audit list --last 20\n  tokendesk audit list --since 24h -o csv\n  tokendesk audit list --raw > audit.jsonl    # for: tokendesk audit verify audit.jsonl",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.last < 0 || o.since < 0 {
				return usagef("--last and --since are not below 0")
			}
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			if o.raw {
				return st.Audit(cmd.Context(), func(events iter.Seq2[audit.Event, error], heads []audit.Head) error {
					return audit.Write(a.stdout, events, heads)
				})
			}
			return listAudit(cmd.Context(), a, st, o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.last, "last", 100, "how many events, the newest; 0 for all")
	f.DurationVar(&o.since, "since", 0, "only events of the last so many hours, such as 24h")
	f.StringVar(&o.object, "object", "", "only events about this object, as the list shows it, such as \"serial 12345678\"")
	f.BoolVar(&o.raw, "raw", false, "every event and head as JSON lines, for audit verify FILE")
	return cmd
}

func listAudit(ctx context.Context, a *app, st *sqlstore.Store, o auditOptions) error {
	f := sqlstore.AuditFilter{Object: o.object}
	if o.since > 0 {
		f.From = a.now().Add(-o.since)
	}
	var events []audit.Event
	for e, err := range st.AuditEvents(ctx, f) {
		if err != nil {
			return err
		}
		if events = append(events, e); o.last > 0 && len(events) >= 2*o.last+1000 {
			events = newest(events, o.last)
		}
	}
	events = newest(events, o.last)
	return list(a, "events", events, []column[audit.Event]{
		{"Time", func(e audit.Event) string { return a.when(e.At) }},
		{"Actor", func(e audit.Event) string { return e.Actor }},
		{"Action", func(e audit.Event) string { return e.Action }},
		{"Object", func(e audit.Event) string { return e.Object }},
		{"Detail", func(e audit.Event) string { return detail(e.Detail) }},
	})
}

// newest sorts events by time and keeps the last of them; 0 for all. Those of one chain stay in their order.
func newest(events []audit.Event, last int) []audit.Event {
	slices.SortStableFunc(events, func(x, y audit.Event) int { return x.At.Compare(y.At) })
	if last == 0 || len(events) <= last {
		return events
	}
	kept := copy(events, events[len(events)-last:])
	clear(events[kept:])
	return events[:kept]
}

// detail shows {} as nothing.
func detail(text string) string {
	if text == "{}" {
		return ""
	}
	return text
}

func newAuditVerifyCmd(a *app) *cobra.Command {
	var public string
	cmd := &cobra.Command{
		Use: "verify [FILE]", Short: "Check that no event was changed, dropped or moved", Args: args(0, 1, "FILE"),
		Long: `Check every chain from its first event to its signed head. A changed, missing or moved event is named; exit code 10.

With FILE the output of "audit list --raw" is checked, and with --public-key nothing else is needed. Keep the printed
heads elsewhere: by comparing them later you notice a store that was put back to an earlier state.`,
		Example: "  tokendesk audit verify\n  tokendesk audit verify audit.jsonl --public-key 3b6a27bc…",
		RunE: func(cmd *cobra.Command, given []string) error {
			key, err := a.auditKey(public)
			if err != nil {
				return err
			}
			report, err := a.verifyAudit(cmd.Context(), key, given)
			if err != nil {
				return err
			}
			return showReport(a, report, key)
		},
	}
	cmd.Flags().StringVar(&public, "public-key", "", "public half of the signing key, 64 hexadecimal digits (default: from the store's signing.key)")
	return cmd
}

func (a *app) auditKey(public string) (ed25519.PublicKey, error) {
	if public != "" {
		key, err := hex.DecodeString(public)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, usagef("--public-key is 64 hexadecimal digits")
		}
		return key, nil
	}
	p, err := a.paths()
	if err != nil {
		return nil, err
	}
	signing, err := seal.LoadSigningFile(p.signing)
	if err != nil {
		return nil, keyProblem(err, p.signing)
	}
	return signing.Public(), nil
}

// verifyAudit reads the file, or the store when none is given.
func (a *app) verifyAudit(ctx context.Context, key ed25519.PublicKey, given []string) (audit.Report, error) {
	if len(given) == 0 {
		st, err := a.openStore(ctx)
		if err != nil {
			return audit.Report{}, err
		}
		defer func() { _ = st.Close() }()
		return st.AuditVerify(ctx, key)
	}
	in, err := a.openInput(ctx, given[0])
	if err != nil {
		return audit.Report{}, err
	}
	defer func() { _ = in.Close() }() // read only
	r, err := audit.VerifyLines(key, in)
	if err != nil {
		return r, in.blame(err)
	}
	return r, nil
}

// showReport lists the heads, and what was found.
func showReport(a *app, r audit.Report, key ed25519.PublicKey) error {
	err := list(a, "heads", r.Chains, []column[audit.Head]{
		{"Chain", func(h audit.Head) string { return h.Chain }},
		{"Events", func(h audit.Head) string { return strconv.FormatInt(h.Seq, 10) }},
		{"Last", func(h audit.Head) string { return h.At.UTC().Format(time.RFC3339) }},
		{"Hash", func(h audit.Head) string { return h.Hash.String() }},
	})
	if err != nil {
		return err
	}
	a.say("%s in %s; public key %s", count(r.Events, "event"), count(len(r.Chains), "chain"), hex.EncodeToString(key))
	if r.OK() {
		a.say("intact: every event is as it was written")
		return nil
	}
	p := problemf(exitIntegrity, "the audit is not as it was written: %s", count(len(r.Findings), "finding"))
	for _, f := range r.Findings {
		p = p.hint("%s", f)
	}
	return p
}

// fileProblem is a file that the operator named and that cannot be read.
func fileProblem(err error, path string) error {
	if errors.Is(err, os.ErrNotExist) {
		return problemf(exitNotFound, "there is no file %s", printable(path))
	}
	return err
}
