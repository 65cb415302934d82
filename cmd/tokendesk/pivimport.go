package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/piv"
)

// maxCertificateFile is the longest file of a certificate, in bytes.
const maxCertificateFile = 64 << 10

func newPIVImportCmd(a *app) *cobra.Command {
	var o pivOptions
	var overwrite bool
	cmd := &cobra.Command{
		Use: "import-cert SLOT FILE", Short: "Store a certificate that was issued for the key in a slot", Args: args(2, 2, "SLOT or FILE"),
		Long: `Store a certificate, in PEM or DER. It must be for the key in the slot. It takes the place of a self-signed one; any other that is there
needs --overwrite. The first certificate of a file is the key's own, those of authorities after it are passed over.`,
		Example: "  tokendesk piv import-cert 9a ada.crt",
		RunE: func(cmd *cobra.Command, given []string) error {
			at, err := piv.ParseSlot(given[0])
			if err != nil {
				return usagef("%s", err)
			}
			c, err := a.readCertificate(cmd.Context(), given[1])
			if err != nil {
				return err
			}
			return a.withPIV(cmd.Context(), o, func(s *pivSession) error {
				if err := s.runner.ImportCertificate(cmd.Context(), s.card, piv.ImportSpec{Slot: at, Certificate: c, Overwrite: overwrite, Given: s.given}); err != nil {
					return err
				}
				if err := s.noteCertificate(cmd.Context(), at, c); err != nil {
					return err
				}
				if note := notNow(c, a.now()); note != "" {
					a.say("note: %s", note)
				}
				return s.showSlot(cmd.Context(), at)
			})
		},
	}
	o.flags(cmd, a)
	o.managementFlag(cmd)
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "a certificate that is there may be lost")
	return cmd
}

// notNow says why a certificate is of no use at a time, "" if it is.
func notNow(c *x509.Certificate, at time.Time) string {
	switch {
	case at.After(c.NotAfter):
		return "the certificate ended on " + c.NotAfter.UTC().Format(time.DateOnly)
	case at.Before(c.NotBefore):
		return "the certificate is good from " + c.NotBefore.UTC().Format(time.DateOnly) + " on"
	}
	return ""
}

// readCertificate reads the first certificate of a file.
func (a *app) readCertificate(ctx context.Context, name string) (*x509.Certificate, error) {
	text, err := a.readAll(ctx, name, maxCertificateFile)
	if err != nil {
		return nil, err
	}
	defer text.Destroy()
	der := text.Reveal()
	for block, rest := pem.Decode(der); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			der = block.Bytes
			break
		}
	}
	c, err := x509.ParseCertificate(append([]byte(nil), der...))
	if err != nil {
		return nil, usagef("%s holds no certificate, in PEM or DER", printable(name))
	}
	return c, nil
}
