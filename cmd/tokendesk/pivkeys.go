package main

import (
	"crypto"
	"crypto/x509/pkix"
	"fmt"
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
	reason                   string // why what is there may be lost

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

	resumes bool   // files of an interrupted run may be there
	left    []byte // the request that it left
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
	f.DurationVar(&o.valid, prefix+"valid", defaultValid, "with --"+prefix+"self-signed: how long it is good")
}

func (o *pivKeyOptions) subjectFlags(cmd *cobra.Command, prefix string) {
	f := cmd.Flags()
	f.StringVar(&o.subject, prefix+"subject", "", "whose the certificate is, such as CN=ada,O=Example (a name alone is CN)")
	f.StringSliceVar(&o.mails, prefix+"email", nil, "e-mail addresses in the certificate")
	f.StringVar(&o.upn, prefix+"upn", "", "account in the certificate by which Windows logs on, such as ada@example.org")
}

// any reports whether a flag says something of a key or its certificate.
func (o *pivKeyOptions) any() bool {
	return o.csr != "" || o.selfSigned || o.subject != "" || o.upn != "" || len(o.mails) > 0 || o.valid != defaultValid ||
		o.algorithm != piv.P256.String() || o.pinUse != "" || o.touch != piv.TouchNever.String() || o.overwrite
}

// check reads the flags. wanted: there is a slot.
func (o *pivKeyOptions) check(wanted bool) (err error) {
	flag := "--" + o.prefix
	if !wanted {
		if o.any() {
			return usagef("what a key and its certificate shall be is for one that is generated: %sslot 9a", flag)
		}
		return nil
	}
	if o.at, err = piv.ParseSlot(o.slot); err != nil {
		return usagef("%s", err)
	}
	if o.overwrite && strings.TrimSpace(o.reason) == "" {
		return usagef("%soverwrite wants --reason TEXT; it is kept in the audit chain", flag)
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
	if !o.selfSigned && o.valid != defaultValid {
		return usagef("%svalid is for %[1]sself-signed: an authority says by itself how long its certificates are good", flag)
	}
	if o.csr != "" {
		if err := o.checkFile(flag + "csr"); err != nil {
			return err
		}
	}
	if o.csr != "" || o.selfSigned {
		return o.checkSubject(flag)
	}
	if o.subject != "" || o.upn != "" || len(o.mails) > 0 {
		return usagef("%ssubject, %[1]semail and %[1]supn are for a certificate: %[1]scsr FILE or %[1]sself-signed", flag)
	}
	return nil
}

// checkFile refuses a file that a request cannot be made as.
func (o *pivKeyOptions) checkFile(flag string) error {
	if o.resumes {
		return checkOutAgain(flag, o.csr, isRequest)
	}
	return checkOut(flag, o.csr)
}

// checkSubject reads whose the certificate is; flag is what stands before the names of the flags.
func (o *pivKeyOptions) checkSubject(flag string) (err error) {
	switch {
	case o.subject == "" && o.account != "":
		o.name = pkix.Name{CommonName: o.account}
		return nil
	case o.subject == "":
		return usagef("%ssubject is missing: whose the certificate is", flag).hint("example: %ssubject CN=ada,O=Example", flag)
	}
	o.name, err = parseSubject(flag+"subject", o.subject)
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
