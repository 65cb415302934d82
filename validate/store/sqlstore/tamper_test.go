package sqlstore

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// putBack cuts a chain to a state of before, with the head that was signed then: what somebody can do who writes to the database,
// kept a copy of it, and has no signing key.
func putBack(t *testing.T, s *Store, chain string) func() {
	t.Helper()
	var h audit.Head
	var hash []byte
	var at int64
	if err := s.read.db.QueryRow(`SELECT seq, hash, at, signature FROM audit_head WHERE chain = ?`, chain).Scan(&h.Seq, &hash, &at, &h.Signature); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		_, err := s.write.db.Exec(`DELETE FROM audit WHERE chain = ?1 AND seq > ?2; UPDATE audit_head SET seq = ?2, hash = ?3, at = ?4, signature = ?5 WHERE chain = ?1`,
			chain, h.Seq, hash, at, h.Signature)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOneChainPutBack: a chain that goes back alone is noticed by the others.
func TestOneChainPutBack(t *testing.T) {
	t.Parallel()
	c := storetest.Sample(1, token.Active)
	for name, tc := range map[string]struct {
		after func(t *testing.T, s *Store, id token.CredentialID) // what follows the event that is to vanish
		chain func(s *Store) string
	}{
		"desk, before a validation": {note1(c), func(*Store) string { return audit.Desk }},
		"desk, then written on": {func(t *testing.T, s *Store, id token.CredentialID) {
			note1(c)(t, s, id)
			addPerson(t, s, "bert")
		}, func(*Store) string { return audit.Desk }},
		"a living server's": {func(*testing.T, *Store, token.CredentialID) {}, func(s *Store) string { return s.chain }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := makeStore(t)
			id := harness{s, s}.Add(t, c)
			note1(c)(t, s, id)
			back := putBack(t, s, tc.chain(s))
			addPerson(t, s, "anna") // the event that vanishes from desk
			note1(c)(t, s, id)      // the one that vanishes from the server's
			tc.after(t, s, id)
			verifyAudit(t, s)
			back()
			if tc.chain(s) == audit.Desk {
				addPerson(t, s, "chris")
			}
			note1(c)(t, s, id)
			if r, err := s.AuditVerify(t.Context(), p.keys.Signing.Public()); err != nil || r.OK() {
				t.Errorf("not noticed: %v", err)
			}
		})
	}
}

func note1(c storetest.Credential) func(*testing.T, *Store, token.CredentialID) {
	return func(t *testing.T, s *Store, id token.CredentialID) {
		t.Helper()
		if err := s.Note(t.Context(), note(id, c)); err != nil {
			t.Fatal(err)
		}
	}
}

func addPerson(t *testing.T, s *Store, account string) {
	t.Helper()
	if _, err := s.AddPersons(t.Context(), []token.Person{{Account: account}}); err != nil {
		t.Fatal(err)
	}
}

// TestExportNamesItsTokens: who reads the audit chain sees whose secrets were handed over.
func TestExportNamesItsTokens(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	h := harness{s, s}
	for n := range 3 {
		h.Add(t, storetest.Sample(n, token.Active))
	}
	d := desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
	for _, queries := range [][]string{nil, {storetest.Sample(1, "").PublicID.String()}} {
		if _, _, err := d.Export(t.Context(), desk.Export{Format: "ksm", File: "f"}, queries...); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for e, err := range s.AuditEvents(t.Context(), AuditFilter{Chain: audit.Desk, Object: "store"}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Action == "keyfile.export" {
			got = append(got, e.Detail)
		}
	}
	if want := []string{`{"format":"ksm","file":"f","count":3}`, `{"format":"ksm","file":"f","tokens":[2],"count":1}`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
