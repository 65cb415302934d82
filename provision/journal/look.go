package journal

import (
	"context"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Slots is what the station knows of a key, as the store's method of that name: the snapshot, and what was written here since. Secrets are
// not in it, so Reserve refuses to write what is live here. token.ErrNotFound for an unknown serial.
func (s *Station) Slots(_ context.Context, serial token.Serial) (token.Token, []token.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, list, found := token.Token{}, []token.Credential(nil), false
	if k, ok := s.snapshot.known(serial); ok {
		found = true
		t = s.token(k)
		for _, c := range k.Slots {
			list = append(list, token.Credential{Token: k.ID, Kind: c.Kind, Slot: c.Slot, PublicID: c.PublicID, State: token.Active})
		}
	}
	for _, e := range s.entries.list {
		if e.Plan.Serial != serial || e.Phase != token.Committed {
			continue
		}
		w := s.entry(e)
		if !found {
			t = token.Token{Model: token.YubiKey, Serial: serial, Firmware: w.Firmware}
		}
		found, t.State = true, token.Active
		if w.Holder != nil {
			t.Holder = w.Holder
		}
		w.Credential.State = token.Active
		list = append(list, w.Credential)
	}
	if !found {
		return t, nil, fmt.Errorf("look up serial %s: %w", serial, token.ErrNotFound)
	}
	return t, list, nil
}

func (s *Station) token(k Known) token.Token {
	t := token.Token{ID: k.ID, Model: k.Model, Serial: k.Serial, Label: k.Label, State: k.State}
	for _, p := range s.snapshot.Persons {
		if p.Account == k.Holder && k.Holder != "" {
			t.Holder = p.person()
		}
	}
	if t.Holder == nil && k.Holder != "" {
		t.Holder = &token.Person{Account: k.Holder}
	}
	return t
}

// Persons are those whose account or name begins with a word of the text, case ignored, in the order of their accounts; "" all.
func (s *Station) Persons(text string) []token.Person {
	want := strings.ToLower(strings.TrimSpace(text))
	var out []token.Person
	for _, p := range s.snapshot.Persons {
		words := append(strings.Fields(strings.ToLower(p.Name)), strings.ToLower(p.Account), strings.ToLower(p.Name))
		for _, w := range words {
			if strings.HasPrefix(w, want) {
				out = append(out, *p.person())
				break
			}
		}
	}
	return out
}

// Person is the person with this account, and what the person held when the snapshot was made or was given here since.
// token.ErrNotFound.
func (s *Station) Person(_ context.Context, account string) (token.Person, []token.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.snapshot.Persons {
		if p.Account != account {
			continue
		}
		var held []token.Token
		for _, k := range s.snapshot.Tokens {
			if k.Holder == account {
				held = append(held, s.token(k))
			}
		}
		for _, e := range s.entries.list {
			if e.Plan.Holder == account && e.Phase == token.Committed {
				held = append(held, token.Token{Model: token.YubiKey, Serial: e.Plan.Serial, Firmware: e.Plan.Firmware, State: token.Active, Holder: p.person(), IssuedAt: e.At})
			}
		}
		return *p.person(), held, nil
	}
	return token.Person{}, nil, fmt.Errorf("person: %w", token.ErrNotFound)
}

// ReceiptOf is the receipt of a committed write, by the token of its entry; token.ErrNotFound if it was no handing-over.
func (s *Station) ReceiptOf(_ context.Context, id token.ID) (token.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries.one(int64(id))
	if e == nil || e.Phase != token.Committed || e.Receipt == 0 {
		return token.Receipt{}, fmt.Errorf("receipt: %w", token.ErrNotFound)
	}
	w := s.entry(e)
	r := token.Receipt{
		Station: s.header.Station, Number: e.Receipt, Kind: token.Issued, Token: id, Serial: w.Serial, Slot: w.Slot, PublicID: w.Credential.PublicID,
		Account: w.Holder.Account, Name: w.Holder.Name, IDCheck: e.Plan.IDCheck, Operator: e.Operator, At: e.At,
		Checkpoint: s.snapshot.Checkpoint, Hash: s.snapshot.Hash, Pending: true,
	}
	for _, k := range s.snapshot.Tokens {
		if k.ID == e.Plan.Replace && k.ID != 0 {
			if r.Replaces = k.Serial.String(); k.Serial == 0 {
				r.Replaces = k.Label
			}
		}
	}
	return r, nil
}
