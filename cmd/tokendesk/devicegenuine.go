package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strconv"
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
				return a.showRule(cmd.Context(), st)
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
					return a.showRule(cmd.Context(), st)
				}
				now.Required = false
				if err := st.SetAttestationRule(cmd.Context(), now); err != nil {
					return err
				}
				a.say("keys are written whether they are genuine or not; the roots stay in the store")
				return a.showRule(cmd.Context(), st)
			})
		},
	}
}

// genuineRule is the rule as it is shown.
type genuineRule struct {
	Required bool       `json:"required"`
	Roots    int        `json:"roots"` // certificates that are trusted
	By       string     `json:"by,omitempty"`
	Set      *time.Time `json:"set,omitempty"`
}

func ruleOf(r token.AttestationRule) genuineRule {
	return genuineRule{r.Required, len(certificatesOf(r.Roots)), printable(r.By), orNil(r.Set.UTC())}
}

// showRule shows the rule as it is now.
func (a *app) showRule(ctx context.Context, st *sqlstore.Store) error {
	now, err := st.AttestationRule(ctx)
	if err != nil {
		return err
	}
	return show(a, "genuine", ruleOf(now), []column[genuineRule]{
		{"Required", func(r genuineRule) string { return yesNo(r.Required) }},
		{"Roots", func(r genuineRule) string { return strconv.Itoa(r.Roots) }},
		{"By", func(r genuineRule) string { return r.By }},
	})
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
				if a.format == "json" {
					return writeJSON(a.stdout, "certificates", rows, member{"genuine", ruleOf(rule)})
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
