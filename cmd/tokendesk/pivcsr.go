package main

import (
	"context"
	"encoding/pem"
	"io"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/piv"
)

func newPIVCSRCmd(a *app) *cobra.Command {
	var o pivOptions
	var k pivKeyOptions
	cmd := &cobra.Command{
		Use: "csr SLOT --subject NAME --out FILE", Short: "Make a certificate request for the key in a slot", Args: args(1, 1, "SLOT"),
		Long:    "Make a request (PKCS #10) for the site's certificate authority, signed with the key in the slot. The PIN is used once, if the key wants it.",
		Example: "  tokendesk piv csr 9a --subject CN=ada,O=Example --email ada@example.org --out ada.csr",
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			if k.at, err = piv.ParseSlot(given[0]); err != nil {
				return usagef("%s", err)
			}
			if k.csr == "" {
				return usagef("--out is missing: the file to make")
			}
			if err := checkOut("--out", k.csr); err != nil {
				return err
			}
			if err := k.checkSubject("--"); err != nil {
				return err
			}
			return a.withPIV(cmd.Context(), o, func(s *pivSession) error {
				if err := s.request(cmd.Context(), k); err != nil {
					return err
				}
				return s.showSlot(cmd.Context(), k.at)
			})
		},
	}
	o.flags(cmd, a)
	o.pinFlag(cmd)
	k.subjectFlags(cmd, "")
	cmd.Flags().StringVar(&k.csr, "out", "", "file to make, in PEM")
	return cmd
}

// request makes the file of a certificate request.
func (s *pivSession) request(ctx context.Context, o pivKeyOptions) error {
	der, err := s.runner.Request(ctx, s.card, o.certificate(s.given))
	if err != nil {
		return s.stale(ctx, err)
	}
	if err := remakeFile(o.csr, o.left, pemOf("CERTIFICATE REQUEST", der)); err != nil {
		return err
	}
	s.a.say("%s is the request for slot %v; what the authority makes of it: tokendesk piv import-cert %v FILE", printable(o.csr), o.at, o.at)
	return nil
}

// pemOf writes one block.
func pemOf(kind string, der []byte) func(io.Writer) error {
	return func(w io.Writer) error { return pem.Encode(w, &pem.Block{Type: kind, Bytes: der}) }
}
