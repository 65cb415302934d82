package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Genuine is the site's rule that keys must be proven genuine.
type Genuine struct {
	Roots  string         `json:"roots"`            // certificates in PEM, that attestations are held against
	Proven []token.Serial `json:"proven,omitempty"` // by one of them, as the server knows
}

// Attested is what became of the question whether a key is genuine.
type Attested struct {
	Serial  token.Serial `json:"serial"`
	Refused string       `json:"refused,omitempty"` // why nothing is proven
	Chain   [][]byte     `json:"chain,omitempty"`   // otherwise: as token.Attestation has it
}

func (a Attested) valid() bool {
	size := 0
	for _, c := range a.Chain {
		size += len(c)
	}
	return a.Serial != 0 && (a.Refused == "") != (size == 0) && len(a.Refused) <= token.MaxRefused && size <= token.MaxChain
}

// Claim is what a station says of a key: the server proves it again, as far as that can be done without the key.
type Claim struct {
	Attested
	Operator string
	At       time.Time
}

// Claimed is one line of an import's report.
type Claimed struct {
	Claim
	Taken
}

// Claims are what the records say of keys, in their order, if Entries is without an error: of each key the last proof and the last doubt.
func (f File) Claims() []Claim {
	type said struct {
		serial token.Serial
		proof  bool
	}
	var out []Claim
	seen := map[said]bool{}
	for _, r := range slices.Backward(f.Records) {
		if r.Event != Attest || r.Attested == nil {
			continue
		}
		if about := (said{r.Attested.Serial, r.Attested.Refused == ""}); !seen[about] {
			seen[about] = true
			out = append(out, Claim{*r.Attested, r.Operator, r.At})
		}
	}
	slices.Reverse(out)
	return out
}

// rule reads the roots of a snapshot; none where nothing is required. The error wraps ErrDamaged.
func (s Snapshot) rule() (roots piv.Roots, err error) {
	if s.Genuine == nil {
		return roots, nil
	}
	if err := roots.Add([]byte(s.Genuine.Roots)); err != nil {
		return roots, fmt.Errorf("%w: the root certificates of the snapshot: %w", ErrDamaged, err)
	}
	return roots, nil
}

// KeepAttestation keeps an answer in place of an older one of the same serial number. It is durable on return.
func (s *Station) KeepAttestation(_ context.Context, a token.Attestation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := Attested{Serial: a.Serial, Refused: strings.ToValidUTF8(a.Refused, ""), Chain: a.Chain} // as a record is read again
	err := errors.New("an attestation is of one serial number, and has certificates, or a reason")
	if said.valid() {
		err = s.append(Record{Event: Attest, Attested: &said})
	}
	if err != nil {
		return fmt.Errorf("keep the attestation of %d: %w", a.Serial, err)
	}
	return nil
}

// Proven reports whether a key is proven genuine by a root of the installed snapshot: as the server knows, or here since.
func (s *Station) Proven(_ context.Context, serial token.Serial) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proven(serial), nil
}

func (s *Station) proven(serial token.Serial) bool {
	if s.snapshot.Genuine == nil {
		return false
	}
	if slices.Contains(s.snapshot.Genuine.Proven, serial) {
		return true
	}
	last, asked := s.entries.answers[serial]
	if !asked {
		return false
	}
	a, err := piv.VerifyChain(s.roots, last.Chain, s.o.Now())
	return err == nil && a.Serial == serial
}
