package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newDeviceGenuineCmd(a *app) *cobra.Command {
	cmd := group("genuine", "Say whether keys must be proven genuine before they are written", newGenuineRequireCmd(a), newGenuineLiftCmd(a), newGenuineShowCmd(a))
	cmd.Long = `Say whether keys must be proven genuine before provision, provision batch and provision desk write them. Each key that the store does
not know as genuine is attested then, as "device attest" does it. One that is not proven is refused; a batch and a desk put
it aside. The rule is in the store: every command that uses it follows it. A station without a network follows the one of its snapshot: make new
ones ("journal station"); journal import takes no key that is not proven.`
	return cmd
}

func newGenuineRequireCmd(a *app) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use: "require", Short: "Write only keys that are proven genuine", Args: args(0, 0, ""),
		Example: "  tokendesk device genuine require --roots yubico-piv-ca.pem",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, _, err := a.readRoots(cmd.Context(), files)
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(st *sqlstore.Store) error {
				if len(text) == 0 {
					now, err := st.AttestationRule(cmd.Context())
					if err != nil {
						return err
					}
					text = now.Roots
				}
				if len(text) == 0 {
					return usagef("--roots is missing: the certificates that you trust").hint("they are at https://developers.yubico.com/PKI/")
				}
				if err := st.SetAttestationRule(cmd.Context(), token.AttestationRule{Required: true, Roots: text}); err != nil {
					return err
				}
				a.say("from now on only keys are written that are proven genuine; start batches and desks that run again")
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&files, "roots", nil, rootsUsage+"; they stay in the store")
	return cmd
}

func newGenuineLiftCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "lift", Short: "Write keys that are not proven genuine, too", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(st *sqlstore.Store) error {
				now, err := st.AttestationRule(cmd.Context())
				if err != nil {
					return err
				}
				if !now.Required {
					a.say("nothing is required; nothing was changed")
					return nil
				}
				now.Required = false
				if err := st.SetAttestationRule(cmd.Context(), now); err != nil {
					return err
				}
				a.say("keys are written whether they are genuine or not; the roots stay in the store")
				return nil
			})
		},
	}
}

// trustedRoot is a certificate of the rule.
type trustedRoot struct {
	Subject string    `json:"subject"`
	Until   time.Time `json:"not_after"`
	SHA256  string    `json:"sha256"`
}

func newGenuineShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show whether it is required, and the certificates that are trusted", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(st *sqlstore.Store) error {
				rule, err := st.AttestationRule(cmd.Context())
				if err != nil {
					return err
				}
				if rule.Required {
					a.say("keys must be proven genuine: by %s, %s", printable(rule.By), rule.Set.Local().Format(time.DateTime))
				} else {
					a.say("keys need not be proven genuine")
				}
				rows := []trustedRoot{}
				for _, c := range certificatesOf(rule.Roots) {
					rows = append(rows, trustedRoot{printable(c.Subject.String()), c.NotAfter.UTC(), sumOf(c.Raw)})
				}
				return list(a, "certificates", rows, []column[trustedRoot]{
					{"Subject", func(r trustedRoot) string { return r.Subject }},
					{"Until", func(r trustedRoot) string { return r.Until.Local().Format(time.DateOnly) }},
					{"SHA-256", func(r trustedRoot) string { return r.SHA256 }},
				})
			})
		},
	}
}

// certificatesOf are those in a text of PEM, as far as they can be read.
func certificatesOf(text []byte) (out []*x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, c)
		}
	}
	return out
}

func (a *app) withStore(ctx context.Context, act func(*sqlstore.Store) error) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	return act(st)
}
