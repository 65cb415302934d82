package memory

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

type harness struct{ *Store }

func (h harness) Counters() validate.Counters { return h.Store }
func (h harness) Another() validate.Counters  { return h.Store }
func (h harness) Clients() validate.Clients   { return h.Store }
func (h harness) Events(testing.TB) int       { return len(h.Store.Events()) }

func (h harness) Add(t testing.TB, c storetest.Credential) token.CredentialID {
	t.Helper()
	id, err := h.Store.Add(c.PublicID, secret.Copy(c.Key[:]), secret.Copy(c.PrivateID[:]), c.State)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (h harness) change(t testing.TB, id token.CredentialID, e token.Event) {
	t.Helper()
	if err := h.Change(id, e); err != nil {
		t.Error(err)
	}
}

func (h harness) Block(t testing.TB, id token.CredentialID)   { h.change(t, id, token.Lose) }
func (h harness) Unblock(t testing.TB, id token.CredentialID) { h.change(t, id, token.Restore) }

func (h harness) AddClient(_ testing.TB, c validate.Client) int64 { return h.Store.AddClient(c) }

func TestCounters(t *testing.T) {
	t.Parallel()
	storetest.RunCounters(t, func(*testing.T) storetest.Harness { return harness{new(Store)} })
}

func (h harness) Distrust(t testing.TB, id token.CredentialID) {
	t.Helper()
	if err := h.Store.Distrust(id); err != nil {
		t.Error(err)
	}
}

func TestCaution(t *testing.T) {
	t.Parallel()
	storetest.RunCaution(t, func(*testing.T) storetest.CautionHarness { return harness{new(Store)} })
}

func TestPublicIDIsUniqueAmongLive(t *testing.T) {
	t.Parallel()
	s := new(Store)
	c := storetest.Sample(1, token.Active)
	key, privateID := secret.Copy(c.Key[:]), secret.Copy(c.PrivateID[:])
	first, err := s.Add(c.PublicID, key, privateID, token.Active)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(c.PublicID, key, privateID, token.Active); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("second live one: %v", err)
	}
	if err := s.Change(first, token.Revoke); err != nil {
		t.Fatal(err)
	}
	second, err := s.Add(c.PublicID, key, privateID, token.Programmed)
	if err != nil {
		t.Fatalf("after revoking: %v", err)
	}
	if got, err := s.Find(t.Context(), c.PublicID); err != nil || got.ID != second {
		t.Errorf("found %d, %v", got.ID, err)
	}
}
