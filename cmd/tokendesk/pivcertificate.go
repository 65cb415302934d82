package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// noteKey has the audit chain say which key was made; certificates of the one before are gone.
func (s *pivSession) noteKey(ctx context.Context, o pivKeyOptions, public crypto.PublicKey) error {
	e := sqlstore.PIVEvent{Slot: o.at.String(), Algorithm: o.spec.In(o.at).Algorithm.String(), PublicKey: sumOfKey(public)}
	return s.st.NotePIVKey(context.WithoutCancel(ctx), s.facts.Serial, e)
}

// sumOfKey is the SHA-256 of a SubjectPublicKeyInfo; "" for a key that x509 cannot write.
func sumOfKey(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	return sumOf(der)
}

// sumOf is the SHA-256 of something in DER, in hexadecimal.
func sumOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// noteCertificate has the store know a certificate for the day on which it must be revoked.
func (s *pivSession) noteCertificate(ctx context.Context, at piv.Slot, c *x509.Certificate) error {
	return s.st.KeepCertificate(context.WithoutCancel(ctx), token.Certificate{
		Serial: s.facts.Serial, Slot: at.String(), Issuer: c.Issuer.String(), Number: c.SerialNumber.Text(16), Subject: c.Subject.String(), NotAfter: c.NotAfter,
		SHA256: sumOf(c.Raw), PublicKey: sumOf(c.RawSubjectPublicKeyInfo), SelfSigned: bytes.Equal(c.RawIssuer, c.RawSubject),
	})
}

// noteSeen brings the store's list in line with the key: certificates that it does not know yet, and keys that are there no more, as after
// a run that was interrupted. One that another program moved to another slot is still there.
func (s *pivSession) noteSeen(ctx context.Context, f piv.Facts) error {
	known, err := s.st.Certificates(ctx, f.Serial)
	if err != nil {
		return err
	}
	var sums []string
	for _, k := range f.Keys {
		sums = append(sums, sumOfKey(k.Public))
		here := func(c token.Certificate) bool {
			return c.Gone.IsZero() && c.Slot == k.Slot.String() && c.SHA256 == sumOf(k.Certificate.Raw)
		}
		if k.Certificate == nil || slices.ContainsFunc(known, here) {
			continue
		}
		if err := s.noteCertificate(ctx, k.Slot, k.Certificate); err != nil {
			return err
		}
	}
	for _, c := range known {
		at, err := piv.ParseSlot(c.Slot)
		if err != nil || !c.Gone.IsZero() || slices.Contains(sums, c.PublicKey) {
			continue
		}
		if k := f.Slot(at); k.Key == piv.No || k.Public != nil {
			if err := s.st.LoseCertificates(ctx, f.Serial, c.Slot); err != nil {
				return err
			}
		}
	}
	return nil
}

// certificateRow is a certificate that lets in whoever has the key.
type certificateRow struct {
	Slot       string    `json:"slot"`
	Number     string    `json:"number"` // hexadecimal
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"`
	NotAfter   time.Time `json:"not_after"`
	SelfSigned bool      `json:"self_signed"`
	SHA256     string    `json:"sha256"`
	Do         string    `json:"when_lost"`
}

// certificatesOf are those of a token that are still valid.
func (a *app) certificatesOf(ctx context.Context, d *desk.Desk, t token.Token) (rows []certificateRow, err error) {
	list, err := d.ValidCertificates(ctx, t)
	for _, c := range list {
		rows = append(rows, certificateRow{c.Slot, printable(c.Number), printable(cmp.Or(c.Issuer, c.Subject, "an issuer without a name")), printable(c.Subject),
			c.NotAfter.UTC(), c.SelfSigned, c.SHA256, c.WhenLost()})
	}
	return rows, err
}

// sayCertificates names what no server of ours can kill.
func (a *app) sayCertificates(ctx context.Context, d *desk.Desk, t token.Token) error {
	rows, err := a.certificatesOf(ctx, d, t)
	for _, c := range rows {
		kind := "certificate"
		if c.SelfSigned {
			kind = "self-signed certificate"
		}
		a.say("%s %s of %s in slot %s: %s", kind, c.Number, c.Issuer, c.Slot, c.Do)
	}
	return err
}

// listCertificates shows them below a token.
func (a *app) listCertificates(rows []certificateRow) error {
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	return list(a, "certificates", rows, []column[certificateRow]{
		{"Certificate", func(c certificateRow) string { return c.Number }},
		{"Of", func(c certificateRow) string { return c.Issuer }},
		{"For", func(c certificateRow) string { return c.Subject }},
		{"In slot", func(c certificateRow) string { return c.Slot }},
		{"Until", func(c certificateRow) string { return a.when(c.NotAfter) }},
		{"When the key is lost", func(c certificateRow) string { return c.Do }},
	})
}
