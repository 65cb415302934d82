package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// noteKey has the audit chain say which key was made; certificates of the one before are gone.
func (s *pivSession) noteKey(ctx context.Context, o pivKeyOptions, public crypto.PublicKey) error {
	e := sqlstore.PIVEvent{Slot: o.at.String(), Algorithm: o.spec.In(o.at).Algorithm.String(), PublicKey: sumOfKey(public)}
	if o.overwrite {
		e.Reason = strings.TrimSpace(o.reason)
	}
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
		Serial: s.facts.Serial, Slot: at.String(), Issuer: keptName(c.Issuer.String()), Number: keptName(c.SerialNumber.Text(16)), Subject: keptName(c.Subject.String()), NotAfter: c.NotAfter,
		SHA256: sumOf(c.Raw), PublicKey: sumOf(c.RawSubjectPublicKeyInfo), SelfSigned: bytes.Equal(c.RawIssuer, c.RawSubject),
	})
}

// noteSeen brings the store's list in line with the key: certificates that it does not know yet, and keys that are there no more, as after
// a run that was interrupted. One whose key another program moved to another slot is there now.
func (s *pivSession) noteSeen(ctx context.Context, f piv.Facts) error {
	known, err := s.liveCertificates(ctx, f.Serial)
	if err != nil {
		return err
	}
	var moved []token.Certificate
	for _, c := range known { // those of one slot are of one key
		at, err := piv.ParseSlot(c.Slot)
		now, there := keyAt(f, at, c.PublicKey)
		if err != nil || there && now == at {
			continue
		}
		if err := s.st.LoseCertificates(ctx, f.Serial, c.Slot); err != nil {
			return err
		}
		if c.Slot = now.String(); there {
			moved = append(moved, c)
		}
	}
	for _, c := range moved {
		if err := s.st.KeepCertificate(ctx, c); err != nil {
			return err
		}
	}
	if known, err = s.liveCertificates(ctx, f.Serial); err != nil {
		return err
	}
	for _, k := range f.Keys {
		if k.Certificate == nil {
			continue
		}
		at, there := keyAt(f, k.Slot, sumOf(k.Certificate.RawSubjectPublicKeyInfo))
		here := func(c token.Certificate) bool { return c.Slot == at.String() && c.SHA256 == sumOf(k.Certificate.Raw) }
		if !there || slices.ContainsFunc(known, here) {
			continue
		}
		if err := s.noteCertificate(ctx, at, k.Certificate); err != nil {
			return err
		}
	}
	return nil
}

// liveCertificates are the known ones whose keys are there.
func (s *pivSession) liveCertificates(ctx context.Context, serial token.Serial) ([]token.Certificate, error) {
	list, err := s.st.Certificates(ctx, serial)
	return slices.DeleteFunc(list, func(c token.Certificate) bool { return !c.Gone.IsZero() }), err
}

// keyAt is the slot that has the key with that SHA-256: the given one, also where it does not tell its key, or another. false: none has it.
func keyAt(f piv.Facts, at piv.Slot, sum string) (piv.Slot, bool) {
	if k := f.Slot(at); k.Key != piv.No && (k.Public == nil || sumOfKey(k.Public) == sum) {
		return at, true
	}
	for _, k := range f.Keys {
		if k.Public != nil && sumOfKey(k.Public) == sum {
			return k.Slot, true
		}
	}
	return at, false
}

// listCertificates shows them below a token.
func (a *app) listCertificates(rows []desk.LiveCertificate) error {
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	return list(a, "certificates", rows, []column[desk.LiveCertificate]{
		{"Certificate", func(c desk.LiveCertificate) string { return c.Number }},
		{"Of", func(c desk.LiveCertificate) string { return c.Issuer }},
		{"For", func(c desk.LiveCertificate) string { return c.Subject }},
		{"In slot", func(c desk.LiveCertificate) string { return c.Slot }},
		{"Until", func(c desk.LiveCertificate) string { return a.when(c.NotAfter) }},
		{"When the key is lost", func(c desk.LiveCertificate) string { return c.Do }},
	})
}
