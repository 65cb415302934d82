package sqlstore

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Limits of what is kept, in bytes.
const (
	maxChain   = 16 << 10
	maxRoots   = 64 << 10
	maxRefused = 400
)

type attestDetail struct {
	Genuine  bool   `json:"genuine"`
	Refused  string `json:"refused,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	Root     string `json:"root,omitempty"`
}

// KeepAttestation keeps an answer in place of an older one of the same serial number. At and Operator are this store's.
func (s *Store) KeepAttestation(ctx context.Context, a token.Attestation) error {
	var chain []byte
	for _, c := range a.Chain {
		chain = append(chain, c...)
	}
	err := s.change(ctx, func(tx *tx) error {
		if a.Serial == 0 || (a.Refused == "") != (a.Root != "") || a.Genuine() == (len(chain) == 0) || len(chain) > maxChain || len(a.Refused) > maxRefused {
			return errors.New("an attestation is of one serial number, and has a root and certificates, or a reason")
		}
		_, err := tx.Exec(`INSERT INTO attestation (serial, refused, firmware, form_factor, root, chain, operator, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (serial) DO UPDATE SET refused = excluded.refused, firmware = excluded.firmware, form_factor = excluded.form_factor,
			root = excluded.root, chain = excluded.chain, operator = excluded.operator, at = excluded.at`,
			a.Serial, a.Refused, a.Firmware, a.FormFactor, a.Root, chainBytes(chain), tx.actor, micros(tx.now))
		if err != nil {
			return err
		}
		return tx.desk("device.attest", serialObject(a.Serial), attestDetail{a.Genuine(), a.Refused, a.Firmware, a.Root})
	})
	if err != nil {
		return fmt.Errorf("keep the attestation of %d: %w", a.Serial, translate(err))
	}
	return nil
}

// chainBytes is never NULL.
func chainBytes(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Attestation is the last answer for a key; token.ErrNotFound: it was never asked.
func (s *Store) Attestation(ctx context.Context, serial token.Serial) (token.Attestation, error) {
	a := token.Attestation{Serial: serial}
	var chain []byte
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT refused, firmware, form_factor, root, chain, operator, at FROM attestation WHERE serial = ?`, serial).
		Scan(&a.Refused, &a.Firmware, &a.FormFactor, &a.Root, &chain, &a.Operator, &at)
	if err == nil {
		a.At = fromMicros(at)
		var list []*x509.Certificate
		if list, err = x509.ParseCertificates(chain); err != nil {
			err = fmt.Errorf("%w: its certificates", token.ErrIntegrity)
		}
		for _, c := range list {
			a.Chain = append(a.Chain, c.Raw)
		}
	}
	if err != nil {
		return token.Attestation{}, fmt.Errorf("attestation of %d: %w", serial, translate(err))
	}
	return a, nil
}

type ruleDetail struct {
	Required bool     `json:"required"`
	Roots    []string `json:"roots"` // SHA-256
}

// SetAttestationRule says what the site wants from now on. Roots that are not certificates in PEM are refused, and a rule
// without any that wants something.
func (s *Store) SetAttestationRule(ctx context.Context, r token.AttestationRule) error {
	err := s.change(ctx, func(tx *tx) error {
		prints, err := rootPrints(r.Roots)
		if err != nil {
			return err
		}
		if r.Required && len(prints) == 0 {
			return errors.New("without roots no key is genuine")
		}
		_, err = tx.Exec(`INSERT INTO attestation_rule (id, required, roots, operator, at) VALUES (1, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET required = excluded.required, roots = excluded.roots, operator = excluded.operator, at = excluded.at`,
			r.Required, chainBytes(r.Roots), tx.actor, micros(tx.now))
		if err != nil {
			return err
		}
		return tx.desk("attestation.rule", "store", ruleDetail{r.Required, prints})
	})
	if err != nil {
		return fmt.Errorf("set the rule of attestations: %w", translate(err))
	}
	return nil
}

// rootPrints are the SHA-256 of certificates in PEM.
func rootPrints(text []byte) (prints []string, err error) {
	if len(text) > maxRoots {
		return nil, fmt.Errorf("roots of %d bytes: %d at most", len(text), maxRoots)
	}
	prints = []string{}
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return prints, nil
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil || b.Type != "CERTIFICATE" {
			return nil, errors.New("the roots are not all certificates")
		}
		sum := sha256.Sum256(c.Raw)
		prints = append(prints, hex.EncodeToString(sum[:]))
	}
}

// AttestationRule is what the site wants; the zero rule wants nothing.
func (s *Store) AttestationRule(ctx context.Context) (token.AttestationRule, error) {
	var r token.AttestationRule
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT required, roots, operator, at FROM attestation_rule WHERE id = 1`).Scan(&r.Required, &r.Roots, &r.By, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return token.AttestationRule{}, nil
	}
	if err != nil {
		return token.AttestationRule{}, fmt.Errorf("rule of attestations: %w", translate(err))
	}
	r.Set = fromMicros(at)
	return r, nil
}
