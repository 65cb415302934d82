package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/piv"
)

func newPIVGenerateCmd(a *app) *cobra.Command {
	var o pivOptions
	var k pivKeyOptions
	var public string
	var yes bool
	cmd := &cobra.Command{
		Use: "generate SLOT", Short: "Generate a key on the card, and a request or certificate for it", Args: args(1, 1, "SLOT"),
		Long: `Generate a key in a slot; it never leaves the card. A slot with a key or certificate needs --overwrite and --reason: that key is
gone for good, and what was encrypted for it cannot be read any more.

Slots: 9a authentication, 9c signature, 9d key management (decryption), 9e card authentication (without PIN), 82 to 95 retired.`,
		Example: `  tokendesk piv generate 9a --subject CN=ada,O=Example --csr ada.csr
  tokendesk piv generate 9c --algorithm rsa2048 --touch-policy cached --self-signed --subject CN=ada`,
		RunE: func(cmd *cobra.Command, given []string) error {
			k.slot = given[0]
			if err := k.check(true); err != nil {
				return err
			}
			if public != "" {
				if err := checkOut("--public-key", public); err != nil {
					return err
				}
			}
			return a.withPIV(cmd.Context(), o, func(s *pivSession) error {
				if err := k.vacant(s.facts.Slot(k.at), false); err != nil {
					return err
				}
				if err := s.confirmLoss(cmd.Context(), k, yes); err != nil {
					return err
				}
				return s.generateAll(cmd.Context(), k, public)
			})
		},
	}
	o.flags(cmd, a)
	o.pinFlag(cmd)
	o.managementFlag(cmd)
	k.keyFlags(cmd, "")
	k.certificateFlags(cmd, "")
	cmd.Flags().StringVar(&public, "public-key", "", "file to make: the public key, in PEM")
	cmd.Flags().StringVar(&k.reason, "reason", "", "why what is there may be lost; kept in the audit chain")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirmLoss asks before a key is overwritten, or one that old firmware does not show.
func (s *pivSession) confirmLoss(ctx context.Context, o pivKeyOptions, yes bool) error {
	if have := s.facts.Slot(o.at); !o.overwrite || have.Key == piv.No && !have.Object {
		return nil
	}
	return s.a.confirm(ctx, yes, fmt.Sprintf("overwrite what is in slot %v of %s for good", o.at, s.name()))
}

func (s *pivSession) generateAll(ctx context.Context, k pivKeyOptions, public string) error {
	made, err := s.equip(ctx, k)
	if err != nil && made != nil {
		return k.halfway(err)
	}
	if err != nil {
		return err
	}
	if public != "" {
		der, err := x509.MarshalPKIXPublicKey(made)
		if err != nil {
			return fmt.Errorf("slot %v: %w", k.at, err)
		}
		if err := makeFile(public, pemOf("PUBLIC KEY", der)); err != nil {
			return err
		}
	}
	return s.showSlot(ctx, k.at)
}

// halfway adds how to go on to what ended it after the key was made: the same command would find the slot taken.
func (o *pivKeyOptions) halfway(err error) error {
	x := explain(err)
	p := &problem{line: x.line, hints: x.hints, code: x.code, cause: err}
	if o.selfSigned {
		return p.hint("slot %v has a new key, without a certificate; to make both anew: --overwrite --reason TEXT", o.at)
	}
	return p.hint("slot %v has a new key; what is missing is its request: tokendesk piv csr %v --subject NAME --out FILE", o.at, o.at)
}

// made reports whether a run that was interrupted has made just this key already.
func (o *pivKeyOptions) made(have piv.KeyFacts) bool {
	want := o.spec.In(o.at)
	return !o.overwrite && have.Generated == piv.Yes && have.Algorithm == want.Algorithm && have.PIN == want.PIN && have.Touch == want.Touch &&
		(!have.Object || o.certified(have))
}

// certified reports whether it has made its certificate, too.
func (o *pivKeyOptions) certified(have piv.KeyFacts) bool {
	c := have.Certificate
	return c != nil && o.selfSigned && c.Subject.String() == o.name.String() && bytes.Equal(c.RawIssuer, c.RawSubject) && piv.SameKey(c.PublicKey, have.Public)
}

// vacant is an error if what is in the slot would be lost. begun: the rest is done, so that an interrupted run may have made the key; before
// that, one that is there was made by somebody else.
func (o *pivKeyOptions) vacant(have piv.KeyFacts, begun bool) error {
	if o.overwrite || begun && o.made(have) || have.Key != piv.Yes && !have.Object {
		return nil
	}
	err := &piv.OccupiedError{Slot: o.at, Key: have.Key == piv.Yes, Certificate: have.Object}
	p := problemf(exitRefused, "%s", err).hint("to lose it for good: --%soverwrite --reason TEXT; or take another slot; see: tokendesk piv status", o.prefix)
	p.cause = err
	return p
}

// resume is equip, but takes the key and the certificate that an interrupted run made.
func (s *pivSession) resume(ctx context.Context, o pivKeyOptions) error {
	f, err := s.card.Facts(ctx)
	if err != nil {
		return err
	}
	have := f.Slot(o.at)
	if !o.made(have) {
		_, err := s.equip(ctx, o)
		return err
	}
	if err := s.noteKey(ctx, o, have.Public); err != nil { // perhaps again: it may be what was interrupted
		return err
	}
	if o.certified(have) {
		s.a.say("slot %v has the key and its certificate already", o.at)
		return s.noteCertificate(ctx, o.at, have.Certificate)
	}
	s.a.say("slot %v has the key already", o.at)
	return s.certify(ctx, o)
}

// equip generates the key, and makes its request or certificate.
func (s *pivSession) equip(ctx context.Context, o pivKeyOptions) (public crypto.PublicKey, err error) {
	if o.public, err = s.generate(ctx, o); err != nil {
		return nil, err
	}
	return o.public, s.certify(ctx, o)
}

func (s *pivSession) certify(ctx context.Context, o pivKeyOptions) error {
	switch {
	case o.csr != "":
		return s.request(ctx, o)
	case o.selfSigned:
		return s.selfSign(ctx, o)
	}
	return nil
}

func (s *pivSession) generate(ctx context.Context, o pivKeyOptions) (crypto.PublicKey, error) {
	if o.at == unlockSlot {
		if err := s.guardStore(ctx, "another key in that slot opens nothing"); err != nil {
			return nil, err
		}
	}
	s.a.say("generating a key of %v in slot %v …", o.spec.In(o.at).Algorithm, o.at)
	public, err := s.runner.Generate(ctx, s.card, piv.GenerateSpec{Slot: o.at, Key: o.spec, Overwrite: o.overwrite, Given: s.given})
	if err != nil {
		return nil, err
	}
	return public, s.noteKey(ctx, o, public)
}

func (s *pivSession) selfSign(ctx context.Context, o pivKeyOptions) error {
	c, err := s.runner.SelfSign(ctx, s.card, o.certificate(s.given))
	if err != nil {
		return s.stale(ctx, err)
	}
	return s.noteCertificate(ctx, o.at, c)
}

// showSlot shows what is in a slot now.
func (s *pivSession) showSlot(ctx context.Context, at piv.Slot) error {
	f, err := s.card.Facts(ctx)
	if err != nil {
		return err
	}
	return show(s.a, "slot", pivSlotOf(f.Slot(at)), pivSlotColumns(s.a))
}
