package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/batch"
)

// largestManifest is the largest file that manifest verify reads, in bytes.
const largestManifest = 64 << 20

func newManifestVerifyCmd(a *app) *cobra.Command {
	var public string
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Check that a manifest is as it was signed", Args: args(1, 1, "FILE"),
		Long: `Check that the manifest of a batch is as it was signed, without the store: with --public-key nothing else is needed. The key must come
another way than the file, such as from "audit verify" on the store. What was changed, exit code 10.`,
		Example: "  tokendesk provision manifest verify box.json --public-key 3b6a27bc…",
		RunE: func(cmd *cobra.Command, given []string) error {
			key, err := a.auditKey(public)
			if err != nil {
				return err
			}
			text, err := a.readAll(cmd.Context(), given[0], largestManifest)
			if err != nil {
				return err
			}
			m, err := batch.VerifyManifest(text.Reveal(), key)
			if err != nil {
				return err
			}
			a.say("intact: signed by this key, %s", m.Statement)
			return show(a, "manifest", m, []column[batch.Manifest]{
				{"Batch", func(m batch.Manifest) string { return fmt.Sprint(m.Batch) }},
				{"Profile", func(m batch.Manifest) string { return m.Profile }},
				{"Order", func(m batch.Manifest) string { return m.Order }},
				{"Operator", func(m batch.Manifest) string { return m.Operator }},
				{"Closed", func(m batch.Manifest) string { return m.Ended.UTC().Format(time.RFC3339) }},
				{"Keys", func(m batch.Manifest) string { return fmt.Sprintf("%d of %d", m.Done, m.Wanted) }},
				{"Touched", func(m batch.Manifest) string { return fmt.Sprint(m.Touched) }},
				{"Put aside", func(m batch.Manifest) string { return fmt.Sprint(len(m.Aside)) }},
				{"Uncertain", func(m batch.Manifest) string { return fmt.Sprint(len(m.Uncertain)) }},
				{"Record set", func(m batch.Manifest) string { return m.RecordSet }},
				{"Audit", func(m batch.Manifest) string {
					return fmt.Sprintf("%s %d %s", m.Audit.Chain, m.Audit.Seq, m.Audit.Hash)
				}},
			})
		},
	}
	cmd.Flags().StringVar(&public, "public-key", "", "public half of the signing key, 64 hexadecimal digits (default: from the store's signing.key)")
	return cmd
}

// explainManifest: a manifest that is wrong.
func explainManifest(err error, x *explained) bool {
	if !errors.Is(err, batch.ErrForged) && !errors.Is(err, batch.ErrNoManifest) {
		return false
	}
	x.code = exitIntegrity
	return true
}
