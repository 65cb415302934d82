package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/piv"
)

// pivKeyOptions say what key is generated, and what a certificate says of it.
type pivKeyOptions struct {
	slot                     string
	algorithm, pinUse, touch string
	overwrite                bool

	subject    string
	mails      []string
	upn        string
	csr        string // file for a request
	selfSigned bool
	valid      time.Duration

	prefix  string // of the flags: "" or "piv-"
	account string // whose the certificate is where no subject is given

	at   piv.Slot
	spec piv.KeySpec
	name pkix.Name

	public crypto.PublicKey // of the key that was just generated
}

// defaultValid is how long a self-signed certificate is good.
const defaultValid = 365 * 24 * time.Hour

// keyFlags adds the flags, each behind prefix.
func (o *pivKeyOptions) keyFlags(cmd *cobra.Command, prefix string) {
	o.prefix = prefix
	f := cmd.Flags()
	var algorithms []string
	for _, alg := range piv.Algorithms() {
		algorithms = append(algorithms, alg.String())
	}
	f.StringVar(&o.algorithm, prefix+"algorithm", piv.P256.String(), "kind of key: "+strings.Join(algorithms, ", "))
	f.StringVar(&o.pinUse, prefix+"pin-policy", "", "when the key wants the PIN: never, once or always (default the slot's own)")
	f.StringVar(&o.touch, prefix+"touch-policy", piv.TouchNever.String(), "when it wants a touch: never, always or cached (15 seconds)")
	f.BoolVar(&o.overwrite, prefix+"overwrite", false, "what is in the slot may be lost")
	complete(cmd, prefix+"algorithm", algorithms...)
	complete(cmd, prefix+"pin-policy", "never", "once", "always")
	complete(cmd, prefix+"touch-policy", "never", "always", "cached")
}

func (o *pivKeyOptions) certificateFlags(cmd *cobra.Command, prefix string) {
	f := cmd.Flags()
	o.subjectFlags(cmd, prefix)
	f.StringVar(&o.csr, prefix+"csr", "", "file to make: a certificate request for the site's authority, in PEM")
	f.BoolVar(&o.selfSigned, prefix+"self-signed", false, "store a certificate that is signed with the key itself")
	f.DurationVar(&o.valid, prefix+"valid", defaultValid, "with --self-signed: how long it is good")
}

func (o *pivKeyOptions) subjectFlags(cmd *cobra.Command, prefix string) {
	f := cmd.Flags()
	f.StringVar(&o.subject, prefix+"subject", "", "whose the certificate is, such as CN=ada,O=Example (a name alone is CN)")
	f.StringSliceVar(&o.mails, prefix+"email", nil, "e-mail addresses in the certificate")
	f.StringVar(&o.upn, prefix+"upn", "", "account in the certificate by which Windows logs on, such as ada@example.org")
}

// check reads the flags. wanted: there is a slot.
func (o *pivKeyOptions) check(wanted bool) (err error) {
	flag := "--" + o.prefix
	if !wanted {
		if o.csr != "" || o.selfSigned || o.subject != "" {
			return usagef("%scsr, %[1]sself-signed and %[1]ssubject are for a key: %[1]sslot 9a", flag)
		}
		return nil
	}
	if o.at, err = piv.ParseSlot(o.slot); err != nil {
		return usagef("%s", err)
	}
	if o.spec.Algorithm, err = piv.ParseAlgorithm(o.algorithm); err != nil {
		return usagef("%salgorithm: %s", flag, err)
	}
	if o.pinUse != "" {
		if o.spec.PIN, err = piv.ParsePINPolicy(o.pinUse); err != nil {
			return usagef("%spin-policy: %s", flag, err)
		}
	}
	if o.spec.Touch, err = piv.ParseTouchPolicy(o.touch); err != nil {
		return usagef("%stouch-policy: %s", flag, err)
	}
	if o.csr != "" && o.selfSigned {
		return usagef("%scsr and %[1]sself-signed exclude each other", flag)
	}
	if o.selfSigned && o.valid < time.Hour {
		return usagef("%svalid is an hour at least", flag)
	}
	if o.csr != "" || o.selfSigned {
		return o.checkSubject(flag)
	}
	if o.subject != "" || o.upn != "" || len(o.mails) > 0 {
		return usagef("%ssubject, %[1]semail and %[1]supn are for a certificate: %[1]scsr FILE or %[1]sself-signed", flag)
	}
	return nil
}

// checkSubject checks whose the certificate is, and the file of the request.
func (o *pivKeyOptions) checkSubject(flag string) (err error) {
	if o.csr != "" {
		if err := checkOut(flag+"csr", o.csr); err != nil {
			return err
		}
	}
	switch {
	case o.subject == "" && o.account != "":
		o.name = pkix.Name{CommonName: o.account}
		return nil
	case o.subject == "":
		return usagef("%ssubject is missing: whose the certificate is", flag).hint("example: %ssubject CN=ada,O=Example", flag)
	}
	o.name, err = parseSubject(o.subject)
	return err
}

// text says what key will be made.
func (o *pivKeyOptions) text() string {
	k := o.spec.In(o.at)
	text := fmt.Sprintf("a key of %v in slot %v (%s), PIN %v, touch %v", k.Algorithm, o.at, o.at.Name(), k.PIN, k.Touch)
	switch {
	case o.csr != "":
		text += ", and a certificate request"
	case o.selfSigned:
		text += ", and a self-signed certificate"
	}
	return text
}

func (o *pivKeyOptions) certificate(g piv.Given) piv.CertificateSpec {
	return piv.CertificateSpec{Slot: o.at, Public: o.public, Subject: o.name, Emails: o.mails, UPN: o.upn, Valid: o.valid, Overwrite: o.overwrite, Given: g}
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
	return &piv.OccupiedError{Slot: o.at, Key: have.Key == piv.Yes, Certificate: have.Object}
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

// sumOf is the SHA-256 of something in DER, in hexadecimal.
func sumOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// request makes the file of a certificate request.
func (s *pivSession) request(ctx context.Context, o pivKeyOptions) error {
	der, err := s.runner.Request(ctx, s.card, o.certificate(s.given))
	if err != nil {
		return s.stale(ctx, err)
	}
	if err := makeFile(o.csr, pemOf("CERTIFICATE REQUEST", der)); err != nil {
		return err
	}
	s.a.say("%s is the request for slot %v; what the authority makes of it: tokendesk piv import-cert %v FILE", printable(o.csr), o.at, o.at)
	return nil
}

func (s *pivSession) selfSign(ctx context.Context, o pivKeyOptions) error {
	c, err := s.runner.SelfSign(ctx, s.card, o.certificate(s.given))
	if err != nil {
		return s.stale(ctx, err)
	}
	return s.noteCertificate(ctx, o.at, c)
}

// pemOf writes one block.
func pemOf(kind string, der []byte) func(io.Writer) error {
	return func(w io.Writer) error { return pem.Encode(w, &pem.Block{Type: kind, Bytes: der}) }
}

// showSlot shows what is in a slot now.
func (s *pivSession) showSlot(ctx context.Context, at piv.Slot) error {
	f, err := s.card.Facts(ctx)
	if err != nil {
		return err
	}
	return show(s.a, "slot", pivSlotOf(f.Slot(at)), pivSlotColumns(s.a))
}

func newPIVGenerateCmd(a *app) *cobra.Command {
	var o pivOptions
	var k pivKeyOptions
	var public string
	cmd := &cobra.Command{
		Use: "generate SLOT", Short: "Generate a key on the card, and a request or certificate for it", Args: args(1, 1, "SLOT"),
		Long: `Generate a key in a slot; it never leaves the card. A slot with a key or certificate needs --overwrite: that key is gone for good.

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
			return a.withPIV(cmd.Context(), o, func(s *pivSession) error { return s.generateAll(cmd.Context(), k, public) })
		},
	}
	o.flags(cmd, a)
	o.pinFlag(cmd)
	o.managementFlag(cmd)
	k.keyFlags(cmd, "")
	k.certificateFlags(cmd, "")
	cmd.Flags().StringVar(&public, "public-key", "", "file to make: the public key, in PEM")
	return cmd
}

func (s *pivSession) generateAll(ctx context.Context, k pivKeyOptions, public string) error {
	made, err := s.equip(ctx, k)
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
			if err := k.checkSubject("--"); err != nil {
				return err
			}
			return a.withPIV(cmd.Context(), o, func(s *pivSession) error { return s.request(cmd.Context(), k) })
		},
	}
	o.flags(cmd, a)
	o.pinFlag(cmd)
	k.subjectFlags(cmd, "")
	cmd.Flags().StringVar(&k.csr, "out", "", "file to make, in PEM")
	return cmd
}

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

// parseSubject reads a name as RFC 4514 writes it, of the attributes that certificates of persons have. Text without = is the common name.
func parseSubject(text string) (n pkix.Name, err error) {
	if !strings.Contains(text, "=") {
		if n.CommonName = strings.TrimSpace(text); n.CommonName == "" {
			return n, usagef("--subject is empty")
		}
		return n, nil
	}
	for _, part := range splitEscaped(text) {
		name, value, ok := strings.Cut(part, "=")
		value = strings.TrimSpace(value)
		if !ok || value == "" {
			return n, usagef("--subject: %q is no NAME=VALUE", printable(part)).hint("example: --subject CN=ada,O=Example")
		}
		if err := setName(&n, strings.ToUpper(strings.TrimSpace(name)), value); err != nil {
			return n, err
		}
	}
	if n.CommonName == "" {
		return n, usagef("--subject has no CN")
	}
	return n, nil
}

func setName(n *pkix.Name, name, value string) error {
	lists := map[string]*[]string{"O": &n.Organization, "OU": &n.OrganizationalUnit, "C": &n.Country, "L": &n.Locality, "ST": &n.Province}
	single := map[string]*string{"CN": &n.CommonName, "SERIALNUMBER": &n.SerialNumber}
	if list, ok := lists[name]; ok {
		*list = append(*list, value)
		return nil
	}
	at, ok := single[name]
	switch {
	case !ok:
		return usagef("--subject: there is no %s here", printable(name)).hint("there are: CN, O, OU, C, L, ST, SERIALNUMBER")
	case *at != "":
		return usagef("--subject has %s twice", name)
	}
	*at = value
	return nil
}

// splitEscaped cuts at commas; a backslash takes the next character as it is.
func splitEscaped(text string) (parts []string) {
	var part strings.Builder
	escaped := false
	for _, r := range text {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == ',':
			parts = append(parts, part.String())
			part.Reset()
			continue
		}
		part.WriteRune(r)
		escaped = false
	}
	return append(parts, part.String())
}
