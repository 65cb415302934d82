package sqlstore

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// place is where a test's store is, a directory or a URL, and its keys.
type place struct {
	dir  string
	keys Keys
}

func drawKeys(t testing.TB, dir string) Keys {
	t.Helper()
	sealing, err := seal.CreateFile(filepath.Join(dir, "seal.key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := seal.CreateSigningFile(filepath.Join(dir, "sign.key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Keys{sealing, signing}
}

func options() Options { return Options{Now: time.Now, Rand: rand.Reader, Actor: "anna"} }

// makeStore makes a store in a directory of the test's own.
func makeStore(t testing.TB) (*Store, place) {
	t.Helper()
	p := place{t.TempDir(), Keys{}}
	p.keys = drawKeys(t, p.dir)
	s, err := Create(t.Context(), p.dir, p.keys, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s, p
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// openStore opens it once more, as another process would.
func (p place) openStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.Context(), p.dir, p.keys, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

// verifyAudit fails the test unless the whole audit is as it was written.
func verifyAudit(t testing.TB, s *Store) audit.Report {
	t.Helper()
	r, err := s.AuditVerify(context.WithoutCancel(t.Context()), s.keys.Signing.Public())
	if err != nil || !r.OK() {
		t.Fatalf("audit: %v, %v", r.Findings, err)
	}
	return r
}

// harness is a store in the words of the suite.
type harness struct {
	s, another *Store
}

func openHarness(t testing.TB) harness {
	s, p := makeStore(t)
	h := harness{s, p.openStore(t)}
	t.Cleanup(func() { verifyAudit(t, s) })
	return h
}

func (h harness) Counters() validate.Counters { return h.s }
func (h harness) Another() validate.Counters  { return h.another }
func (h harness) Clients() validate.Clients   { return h.s }

func sampleRecord(c storetest.Credential) keyfile.Record {
	return keyfile.Record{Kind: token.YubicoOTP, PublicID: c.PublicID, Key: secret.Copy(c.Key[:]), PrivateID: secret.Copy(c.PrivateID[:])}
}

// Add imports it and then writes the state that the suite wants.
func (h harness) Add(t testing.TB, c storetest.Credential) token.CredentialID {
	t.Helper()
	got, err := h.s.Import(t.Context(), "suite", []keyfile.Record{sampleRecord(c)})
	if err != nil || got[0].Outcome != "new" {
		t.Fatalf("import: %v, %v", got, err)
	}
	found, err := h.s.Find(t.Context(), c.PublicID)
	if err != nil {
		t.Fatal(err)
	}
	err = h.s.change(t.Context(), func(tx *tx) error {
		if err := tx.setCredentialState(found.ID, c.State); err != nil {
			return err
		}
		if err := tx.setTokenState(found.Token, c.State); err != nil {
			return err
		}
		return tx.enable(found.Token)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found.ID
}

func (h harness) token(t testing.TB, id token.CredentialID) token.ID {
	t.Helper()
	c, err := oneCredential(t.Context(), h.s.read, `WHERE c.id = ?`, id)
	if err != nil {
		t.Error(err)
	}
	return c.Token
}

func (h harness) Block(t testing.TB, id token.CredentialID) {
	t.Helper()
	if _, err := h.s.Block(t.Context(), h.token(t, id), desk.Block{Reason: token.ReasonLost}); err != nil {
		t.Error(err)
	}
}

// Unblock leaves the counters, which Restore does not.
func (h harness) Unblock(t testing.TB, id token.CredentialID) {
	t.Helper()
	k := h.token(t, id)
	err := h.s.change(t.Context(), func(tx *tx) error {
		if err := tx.setTokenState(k, token.Active); err != nil {
			return err
		}
		return tx.enable(k)
	})
	if err != nil {
		t.Error(err)
	}
}

func (h harness) AddClient(t testing.TB, c validate.Client) int64 {
	t.Helper()
	id, err := h.s.AddClient(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (h harness) Events(t testing.TB) int {
	t.Helper()
	n := 0
	if err := h.s.read.db.QueryRow(`SELECT count(*) FROM audit WHERE action = 'validate'`).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

// onEach runs a suite on every kind of database: open gives it a store of its own, open twice. A short run, which looks for races, takes
// SQLite alone: the code above the drivers is the same, and what is PostgreSQL's own has the tests TestPG….
func onEach(t *testing.T, f func(t *testing.T, open func(testing.TB) harness)) {
	t.Parallel()
	kinds := map[string]func(testing.TB) harness{"sqlite": openHarness, "postgres": openPostgres, "postgres, all twice": openShaky}
	if testing.Short() {
		kinds = map[string]func(testing.TB) harness{"sqlite": openHarness}
	}
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, open)
		})
	}
}

// openPostgres is a harness on a database of the test's own.
func openPostgres(t testing.TB) harness {
	t.Helper()
	s, p := makePostgres(t)
	h := harness{s, p.openStore(t)}
	t.Cleanup(func() { verifyAudit(t, s) })
	return h
}

// makePostgres makes a store in a new database.
func makePostgres(t testing.TB) (*Store, place) {
	t.Helper()
	p := place{pgtest.Shared(t).NewDatabase(t), drawKeys(t, t.TempDir())}
	s, err := Create(t.Context(), p.dir, p.keys, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s, p
}

func TestCounters(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunCounters(t, func(t *testing.T) storetest.Harness { return open(t) })
	})
}

// Distrust makes it as a backup that was put back does.
func (h harness) Distrust(t testing.TB, id token.CredentialID) {
	t.Helper()
	err := h.s.change(t.Context(), func(tx *tx) error {
		if err := tx.one(token.ErrNotFound, `UPDATE counter SET caution = ? WHERE credential = ?`, validate.Cautious, id); err != nil {
			return err
		}
		_, err := tx.Exec(deriveEnabled(`credential = ?1`), id)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCaution(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunCaution(t, func(t *testing.T) storetest.CautionHarness { return open(t) })
	})
}

func TestLedger(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunLedger(t, func(t *testing.T) storetest.Full { return open(t).s })
	})
}

func TestSlots(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunSlots(t, func(t *testing.T) storetest.SlotStore { return open(t).s })
	})
}

func TestDesk(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunDesk(t, func(t *testing.T) storetest.Full { return open(t).s })
	})
}

func TestPush(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunPush(t, func(t *testing.T) storetest.Full { return open(t).s })
	})
}

func TestEscrow(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunEscrow(t, func(t *testing.T) storetest.Escrow { return open(t).s })
		t.Run("open", func(t *testing.T) { t.Parallel(); testOpenEscrows(t, open(t).s) })
	})
}

func TestAttestations(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunAttestations(t, func(t *testing.T) storetest.Attestations { return open(t).s })
	})
}

func TestCertificates(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunCertificates(t, func(t *testing.T) storetest.Certificates { return open(t).s })
		t.Run("another key", func(t *testing.T) { t.Parallel(); testKeyGone(t, open(t).s) })
	})
}

func TestSearch(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunSearch(t, func(t *testing.T) (one, another storetest.Full) {
			h := open(t)
			return h.s, h.another
		})
	})
}
