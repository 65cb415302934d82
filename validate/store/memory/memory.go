// Package memory is a store in plain memory under one mutex: the reference model that other stores are compared with, and the
// store of tests. Nothing in it outlives the process.
package memory

import (
	"context"
	"sync"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

var (
	_ validate.Counters = (*Store)(nil)
	_ validate.Clients  = (*Store)(nil)
	_ validate.Raiser   = (*Store)(nil)
)

// Store is safe for concurrent use. The zero Store is empty and usable.
type Store struct {
	mu          sync.Mutex
	credentials []*validate.Credential // ID n at n-1; on a token of the same number
	clients     []validate.Client      // ID n at n-1
	events      []validate.Event
}

// Add stores a Yubico OTP credential with fresh counters on a token of its own; both are in state s. It copies key (16
// bytes) and privateID (6 bytes). token.ErrDuplicate if a live credential has this public ID.
func (s *Store) Add(id token.PublicID, key, privateID secret.Bytes, state token.State) (token.CredentialID, error) {
	cipher, err := yubiotp.NewCipher(key, privateID)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.live(id); ok && state != token.Revoked {
		return 0, token.ErrDuplicate
	}
	n := len(s.credentials) + 1
	row := validate.Row{State: state, Token: state, Enabled: state.Validates(), Counters: token.Fresh()}
	s.credentials = append(s.credentials, &validate.Credential{ID: token.CredentialID(n), Token: token.ID(n), PublicID: id, Cipher: cipher, Row: row})
	return token.CredentialID(n), nil
}

// Change applies e to the token of a credential and then sets whether the row is enabled, in one step. The error is
// token.ErrNotFound or a *token.TransitionError.
func (s *Store) Change(id token.CredentialID, e token.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.credential(id)
	if !ok {
		return token.ErrNotFound
	}
	next, err := c.Row.Token.Next(e)
	if err != nil {
		return err
	}
	c.Row.Token = next
	if next == token.Revoked {
		c.Row.State = token.Revoked
	}
	c.Row.Enabled = next.Validates() && c.Row.State.Validates() && c.Row.Caution == 0
	return nil
}

// Distrust sets the Caution of a credential, as putting back a backup does.
func (s *Store) Distrust(id token.CredentialID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.credential(id)
	if !ok {
		return token.ErrNotFound
	}
	c.Row.Caution, c.Row.Enabled = validate.Cautious, false
	return nil
}

// SetGroups says in which groups the holder of a credential's token is.
func (s *Store) SetGroups(id token.CredentialID, groups ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.credential(id)
	if !ok {
		return token.ErrNotFound
	}
	c.Groups = groups
	return nil
}

// SetClient replaces the client of c's number.
func (s *Store) SetClient(c validate.Client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.ID < 1 || c.ID > int64(len(s.clients)) {
		return token.ErrNotFound
	}
	s.clients[c.ID-1] = c
	return nil
}

// AddClient stores c, whose keys the store keeps from now on, under the next free number and returns that.
func (s *Store) AddClient(c validate.Client) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.ID = int64(len(s.clients) + 1)
	s.clients = append(s.clients, c)
	return c.ID
}

// Events are the validation events so far.
func (s *Store) Events() []validate.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]validate.Event(nil), s.events...)
}

// Find implements validate.Counters.
func (s *Store) Find(_ context.Context, id token.PublicID) (validate.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.live(id)
	if !ok {
		return validate.Credential{}, token.ErrNotFound
	}
	return *c, nil
}

// Accept implements validate.Counters.
func (s *Store) Accept(_ context.Context, a validate.Advance) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.credential(a.Credential)
	if !ok || !c.Row.Enabled || !newer(a, c.Row.Counters) {
		return false, nil
	}
	c.Row.Counters = stored(a, c.Row.Counters.Moving)
	for _, state := range []*token.State{&c.Row.State, &c.Row.Token} {
		if next, err := state.Next(token.Prove); err == nil {
			*state = next
		}
	}
	s.events = append(s.events, a.Event)
	return true, nil
}

// Spend implements validate.Counters.
func (s *Store) Spend(_ context.Context, a validate.Advance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.credential(a.Credential); ok && !c.Row.Enabled && newer(a, c.Row.Counters) {
		if r := &c.Row; a.Event.Reason == validate.ReasonCautious && r.Caution > 0 && r.State.Validates() && r.Token.Validates() {
			if r.Caution == 1 && validate.Pairs(*r, a) {
				r.Caution, r.Enabled = 0, true
			} else {
				r.Caution = 1
			}
		}
		a.Nonce = ""
		c.Row.Counters = stored(a, c.Row.Counters.Moving)
	}
	s.events = append(s.events, a.Event)
	return nil
}

// Note implements validate.Counters.
func (s *Store) Note(_ context.Context, a validate.Advance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, a.Event)
	return nil
}

// Raise implements validate.Raiser.
func (s *Store) Raise(_ context.Context, r validate.Raise) (validate.Row, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.live(r.PublicID)
	if !ok {
		return validate.Row{}, false, token.ErrNotFound
	}
	before := c.Row
	a := validate.Advance{Use: r.Use, Session: r.Session, Timestamp: r.Timestamp, Nonce: r.Nonce, At: r.At}
	if !newer(a, before.Counters) {
		return before, false, nil
	}
	c.Row.Counters = stored(a, before.Counters.Moving)
	s.events = append(s.events, validate.Event{Source: r.Source, PublicID: r.PublicID, Result: validate.ResultRaised, Reason: validate.ReasonElsewhere})
	return before, true, nil
}

// Client implements validate.Clients.
func (s *Store) Client(_ context.Context, id int64) (validate.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 1 || id > int64(len(s.clients)) {
		return validate.Client{}, token.ErrNotFound
	}
	return s.clients[id-1], nil
}

func (s *Store) credential(id token.CredentialID) (*validate.Credential, bool) {
	if id < 1 || id > token.CredentialID(len(s.credentials)) {
		return nil, false
	}
	return s.credentials[id-1], true
}

func (s *Store) live(id token.PublicID) (*validate.Credential, bool) {
	for _, c := range s.credentials {
		if c.PublicID == id && c.Row.State != token.Revoked {
			return c, true
		}
	}
	return nil, false
}

func newer(a validate.Advance, stored token.Counters) bool {
	return a.Use > stored.Use || a.Use == stored.Use && a.Session > stored.Session
}

func stored(a validate.Advance, moving int64) token.Counters {
	return token.Counters{Use: a.Use, Session: a.Session, Timestamp: a.Timestamp, Moving: moving, Nonce: a.Nonce, At: a.At}
}
