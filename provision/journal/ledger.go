package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Left is how many more keys may be written, and until when.
func (s *Station) Left() (keys int, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot.Most - s.used(), s.snapshot.Until
}

// used counts the writes of the installed snapshot that were not given up.
func (s *Station) used() int {
	n := 0
	for _, e := range s.entries.list {
		if e.Plan.Grant == s.snapshot.Grant && e.Phase != token.Aborted {
			n++
		}
	}
	return n
}

// Reserve implements provision.Ledger. Beside the ledger's own reasons: ErrVersion, ErrOver, ErrMost, ErrNotProven, ErrNeedsServer, ErrHeld, and
// token.ErrNotFound for a holder that is not in the snapshot.
func (s *Station) Reserve(_ context.Context, r token.Reservation) (token.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.plan(r)
	if err == nil {
		err = s.append(Record{Event: Reserve, Entry: int64(len(s.entries.list)) + 1, Plan: &p})
	}
	if err != nil {
		return token.Entry{}, fmt.Errorf("reserve slot %d of %d: %w", r.Slot, r.Serial, err)
	}
	return s.entry(s.entries.list[len(s.entries.list)-1]), nil
}

// plan says whether a reservation is possible.
func (s *Station) plan(r token.Reservation) (Plan, error) {
	p := Plan{
		Grant: s.snapshot.Grant, Serial: r.Serial, Firmware: r.Firmware, Slot: r.Slot, Kind: r.Kind, PublicID: r.PublicID, Settings: r.Settings, Proof: r.Proof,
		Overwrite: r.Overwrite, Reason: r.Reason, IDCheck: r.Handover.IDCheck, Replace: r.Handover.Replace, Note: r.Handover.Note,
	}
	switch {
	case r.Serial == 0 || r.Slot != 1 && r.Slot != 2 || !r.Kind.Valid() || r.Proof == "":
		return p, errors.New("a reservation names serial, slot 1 or 2, kind and proof")
	case !s.sameKey():
		return p, ErrOther
	case s.snapshot.Schema != schema:
		return p, fmt.Errorf("the station's snapshot: %w", ErrVersion)
	case !s.o.Now().Before(s.snapshot.Until):
		return p, ErrOver
	case s.used() >= s.snapshot.Most:
		return p, ErrMost
	case s.snapshot.Genuine != nil && !s.proven(r.Serial):
		return p, ErrNotProven
	}
	if r.Holder != 0 {
		person, ok := s.snapshot.person(r.Holder)
		if !ok {
			return p, fmt.Errorf("holder: %w", token.ErrNotFound)
		}
		p.Holder = person.Account
	}
	if err := s.mayHand(p); err != nil {
		return p, err
	}
	if err := s.mayWrite(p); err != nil {
		return p, err
	}
	return p, s.free(p)
}

// mayHand checks the handover as the store would.
func (s *Station) mayHand(p Plan) error {
	switch {
	case p.IDCheck == "" && p.Replace == 0:
		return nil
	case p.Holder == "", !slices.Contains(token.IDChecks(), p.IDCheck):
		return token.ErrConflict
	case p.Replace == 0:
		return nil
	}
	i := slices.IndexFunc(s.snapshot.Tokens, func(k Known) bool { return k.ID == p.Replace })
	if i < 0 || s.snapshot.Tokens[i].Holder != p.Holder || s.snapshot.Tokens[i].State == token.Revoked {
		return token.ErrConflict
	}
	return nil
}

// mayWrite holds a plan against what is known of the key: by the snapshot, and by this journal.
func (s *Station) mayWrite(p Plan) error {
	if k, ok := s.snapshot.known(p.Serial); ok {
		if _, err := k.State.Next(token.Write); err != nil {
			return err
		}
		if k.Holder != "" && k.Holder != p.Holder {
			return ErrHeld
		}
		if _, live := k.slot(p.Slot); live {
			return ErrNeedsServer
		}
	}
	for _, e := range s.entries.list {
		if e.Plan.Serial != p.Serial || e.Phase == token.Aborted {
			continue
		}
		switch {
		case e.Phase.Open() && e.Plan.Slot == p.Slot:
			return token.ErrUnsettled
		case e.Plan.Slot == p.Slot:
			return ErrNeedsServer
		case e.Plan.Holder != "" && e.Plan.Holder != p.Holder:
			return ErrHeld
		}
	}
	return nil
}

// free refuses a public ID that is known to be taken; that another station took it meanwhile is seen by the import.
func (s *Station) free(p Plan) error {
	if p.Kind != token.YubicoOTP && p.PublicID.Len() == 0 {
		return nil
	}
	taken := slices.ContainsFunc(s.entries.list, func(e *Entry) bool { return e.Plan.PublicID == p.PublicID && e.Phase != token.Aborted })
	for _, k := range s.snapshot.Tokens {
		taken = taken || slices.ContainsFunc(k.Slots, func(c KnownSlot) bool { return c.PublicID == p.PublicID })
	}
	if taken {
		return fmt.Errorf("public ID %s: %w", p.PublicID, token.ErrDuplicate)
	}
	return nil
}

// Seal implements provision.Ledger: the secrets are durable for the server and, until the write is settled, for this station.
func (s *Station) Seal(_ context.Context, id token.EntryID, secrets token.Secrets) error {
	return s.change(id, "seal", func(e *Entry) error {
		if e.Phase != token.Reserved || secrets.Key.Len() == 0 {
			return token.ErrConflict
		}
		b := bundle(secrets)
		defer b.Destroy()
		sealed, err := seal.SealTo(s.to, seal.Journal, place(s.escrow.series, s.header.Station, e.ID, e.Plan), b)
		if err != nil {
			return err
		}
		if err := s.escrow.put(e.ID, b); err != nil {
			return err
		}
		s.o.passed("escrowed")
		return s.append(Record{Event: Seal, Entry: e.ID, Sealed: sealed})
	})
}

// Mark implements provision.Ledger.
func (s *Station) Mark(_ context.Context, id token.EntryID, p token.Phase) error {
	return s.change(id, "mark", func(e *Entry) error {
		switch {
		case !p.Uncertain() || e.Phase == token.Reserved:
			return token.ErrConflict
		case e.Phase == token.Written || e.Phase == p:
			return nil
		case p == token.Writing:
			return s.append(Record{Event: Writing, Entry: e.ID})
		}
		return s.append(Record{Event: Written, Entry: e.ID})
	})
}

// Commit implements provision.Ledger. The copy of the secrets that the station can open is gone on return.
func (s *Station) Commit(_ context.Context, id token.EntryID, proof *token.Counters) error {
	return s.change(id, "commit", func(e *Entry) error {
		r := Record{Event: Commit, Entry: e.ID}
		if proof != nil {
			r.Proof = proofOf(*proof)
		}
		if e.Plan.IDCheck != "" {
			r.Receipt = s.entries.receipts + 1
		}
		if _, ok := after(e, r); !ok {
			return token.ErrConflict
		}
		if err := s.append(r); err != nil {
			return err
		}
		return s.escrow.drop(e.ID)
	})
}

// Abort implements provision.Ledger. The slot held nothing of ours before, so there is nothing to raise.
func (s *Station) Abort(_ context.Context, id token.EntryID, from token.Phase, reason string, former *token.Counters) error {
	return s.change(id, "abort", func(e *Entry) error {
		if e.Phase != from || former != nil {
			return token.ErrConflict
		}
		if err := s.append(Record{Event: Abort, Entry: e.ID, Reason: reason}); err != nil {
			return err
		}
		return s.escrow.drop(e.ID)
	})
}

// change calls f with an open write.
func (s *Station) change(id token.EntryID, verb string, f func(*Entry) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries.one(int64(id))
	err := token.ErrConflict
	if e != nil && e.Phase.Open() {
		err = f(e)
	}
	if err != nil {
		return fmt.Errorf("%s entry %d: %w", verb, id, err)
	}
	return nil
}

// entry is a write without secrets, as the ledger's users know it. Its token is known here by the write's number.
func (s *Station) entry(e *Entry) token.Entry {
	p := e.Plan
	out := token.Entry{
		ID: token.EntryID(e.ID), Phase: e.Phase, Serial: p.Serial, Slot: p.Slot, Token: token.ID(e.ID), Proof: p.Proof, Firmware: p.Firmware, Reason: p.Reason,
		Created: e.Started, Updated: e.At, Handover: token.Handover{IDCheck: p.IDCheck, Replace: p.Replace, Note: p.Note},
		Credential: token.Credential{ID: token.CredentialID(e.ID), Token: token.ID(e.ID), Kind: p.Kind, Slot: p.Slot, PublicID: p.PublicID, State: token.Pending,
			Settings: p.Settings, Counters: token.Fresh(), Created: e.Started},
	}
	for _, person := range s.snapshot.Persons {
		if person.Account == p.Holder && p.Holder != "" {
			out.Holder = person.person()
		}
	}
	if out.Holder == nil && p.Holder != "" { // a newer snapshot does not know the person any more
		out.Holder = &token.Person{Account: p.Holder}
	}
	return out
}

func (p Person) person() *token.Person {
	return &token.Person{ID: p.ID, Account: p.Account, Name: p.Name, Groups: p.Groups}
}

// Open lists the writes that wait to be settled, oldest first, as the store's ledger does: from Sealed on with their secrets, which
// the caller destroys. ErrDamaged if the copy of them that the station kept is gone: then the server alone can finish the write.
func (s *Station) Open(context.Context) ([]token.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []token.Entry
	for _, e := range s.entries.list {
		if !e.Phase.Open() {
			continue
		}
		one := s.entry(e)
		if e.Phase != token.Reserved {
			var err error
			one.Credential.Secrets, err = s.escrow.get(e.ID)
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: the secrets of write %d are gone", ErrDamaged, e.ID)
			}
			if err != nil {
				for _, e := range out {
					e.Credential.Secrets.Destroy()
				}
				return nil, fmt.Errorf("read journal: %w", err)
			}
		}
		out = append(out, one)
	}
	return out, nil
}
