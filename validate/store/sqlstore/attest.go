package sqlstore

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/token"
)

// maxRoots bounds the root certificates of the rule, in bytes.
const maxRoots = 64 << 10

type attestDetail struct {
	Genuine  bool   `json:"genuine"`
	Refused  string `json:"refused,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	Root     string `json:"root,omitempty"`
}

// KeepAttestation keeps an answer in place of an older one of the same serial number. At and Operator are this store's.
func (s *Store) KeepAttestation(ctx context.Context, a token.Attestation) error {
	err := s.change(ctx, func(tx *tx) error {
		a.Operator, a.At = tx.actor, tx.now
		if err := tx.putAttestation(a); err != nil {
			return err
		}
		return tx.desk("device.attest", serialObject(a.Serial), answerDetail(a))
	})
	if err != nil {
		return fmt.Errorf("keep the attestation of %d: %w", a.Serial, translate(err))
	}
	return nil
}

func answerDetail(a token.Attestation) attestDetail {
	return attestDetail{a.Genuine(), a.Refused, a.Firmware, a.Root}
}

// putAttestation puts an answer in place of an older one.
func (t *tx) putAttestation(a token.Attestation) error {
	chain := slices.Concat(a.Chain...)
	if a.Serial == 0 || (a.Refused == "") != (a.Root != "") || a.Genuine() == (len(chain) == 0) || len(chain) > token.MaxChain || len(a.Refused) > token.MaxRefused {
		return errors.New("an attestation is of one serial number, and has a root and certificates, or a reason")
	}
	_, err := t.Exec(`INSERT INTO attestation (serial, refused, firmware, form_factor, root, chain, operator, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (serial) DO UPDATE SET refused = excluded.refused, firmware = excluded.firmware, form_factor = excluded.form_factor,
		root = excluded.root, chain = excluded.chain, operator = excluded.operator, at = excluded.at`,
		a.Serial, a.Refused, a.Firmware, a.FormFactor, a.Root, chainBytes(chain), a.Operator, micros(a.At))
	return err
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
	a, err := attestationOf(ctx, s.read, serial)
	if err != nil {
		return token.Attestation{}, fmt.Errorf("attestation of %d: %w", serial, translate(err))
	}
	return a, nil
}

func attestationOf(ctx context.Context, q querier, serial token.Serial) (token.Attestation, error) {
	a := token.Attestation{Serial: serial}
	var chain []byte
	var at int64
	err := q.QueryRowContext(ctx, `SELECT refused, firmware, form_factor, root, chain, operator, at FROM attestation WHERE serial = ?`, serial).
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
	return a, err
}

// Proven reports whether a key is known as genuine, by a root that is trusted now.
func (s *Store) Proven(ctx context.Context, serial token.Serial) (bool, error) {
	rule, err := s.AttestationRule(ctx)
	if err != nil {
		return false, err
	}
	proven, err := provenBy(ctx, s.read, rule, serial)
	if err != nil {
		err = fmt.Errorf("attestation of %d: %w", serial, translate(err))
	}
	return proven, err
}

func provenBy(ctx context.Context, q querier, rule token.AttestationRule, serial token.Serial) (bool, error) {
	known, err := attestationOf(ctx, q, serial)
	if isNotFound(err) || err == nil && !known.Genuine() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	prints, err := rootPrints(rule.Roots)
	return slices.Contains(prints, known.Root), err
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
	r, err := ruleOf(ctx, s.read)
	if err != nil {
		return token.AttestationRule{}, fmt.Errorf("rule of attestations: %w", translate(err))
	}
	return r, nil
}

func ruleOf(ctx context.Context, q querier) (token.AttestationRule, error) {
	var r token.AttestationRule
	var at int64
	err := q.QueryRowContext(ctx, `SELECT required, roots, operator, at FROM attestation_rule WHERE id = 1`).Scan(&r.Required, &r.Roots, &r.By, &at)
	if isNotFound(err) {
		return token.AttestationRule{}, nil
	}
	r.Set = fromMicros(at)
	return r, err
}
