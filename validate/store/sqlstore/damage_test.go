package sqlstore

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func note(id token.CredentialID, c storetest.Credential) validate.Advance {
	return validate.Advance{Credential: id, Use: -1, Session: -1, At: time.Unix(1000, 0), Event: validate.Event{PublicID: c.PublicID, Result: "BAD_OTP", Reason: validate.ReasonCRC}}
}

// TestEnabledIsDerived tries every pair of states with every phase.
func TestEnabledIsDerived(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	e, err := s.Reserve(t.Context(), token.Reservation{Serial: 7, Slot: 1, Kind: token.YubicoOTP, PublicID: token.SerialPublicID(7), Proof: token.ByTouch})
	if err != nil {
		t.Fatal(err)
	}
	for _, credential := range token.States() {
		for _, of := range token.States() {
			for _, p := range []token.Phase{token.Reserved, token.Sealed, token.Writing, token.Written, token.Committed, token.Aborted} {
				err := s.change(t.Context(), func(tx *tx) error {
					if err := errors.Join(tx.setCredentialState(e.Credential.ID, credential), tx.setTokenState(e.Token, of)); err != nil {
						return err
					}
					if _, err := tx.Exec(`UPDATE ledger SET phase = ?`, string(p)); err != nil {
						return err
					}
					return tx.enable(e.Token)
				})
				if err != nil {
					t.Fatal(err)
				}
				c, err := oneCredential(t.Context(), s.read, `WHERE c.id = ?`, e.Credential.ID)
				if want := credential.Validates() && of.Validates() && !p.Uncertain(); err != nil || c.Enabled != want {
					t.Errorf("credential %s, token %s, phase %s: enabled %v, want %v (%v)", credential, of, p, c.Enabled, want, err)
				}
			}
		}
	}
}

// TestSwappedSecretsDoNotOpen: rows of one credential are put in the place of another's.
func TestSwappedSecretsDoNotOpen(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"between credentials": `CREATE TEMP TABLE was AS SELECT * FROM secret; UPDATE secret SET sealed = (SELECT o.sealed FROM was o WHERE o.what = secret.what AND o.credential <> secret.credential)`,
		"between purposes":    `CREATE TEMP TABLE was AS SELECT * FROM secret; UPDATE secret SET sealed = (SELECT o.sealed FROM was o WHERE o.what <> secret.what AND o.credential = secret.credential)`,
		"changed byte":        `UPDATE secret SET sealed = zeroblob(length(sealed))`,
		"cut":                 `UPDATE secret SET sealed = substr(sealed, 1, 20)`,
		"other key version":   `UPDATE secret SET key_version = 2`,
		"gone":                `DELETE FROM secret`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := makeStore(t)
			h := harness{s, s}
			one, two := storetest.Sample(1, token.Active), storetest.Sample(2, token.Active)
			h.Add(t, one)
			h.Add(t, two)
			execute(t, s, spoil)
			fresh := p.openStore(t) // without ciphers
			for _, c := range []storetest.Credential{one, two} {
				if _, err := fresh.Find(t.Context(), c.PublicID); !errors.Is(err, token.ErrIntegrity) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	s, p := makeStore(t)
	for n := range byte(2) {
		if _, err := s.AddClient(t.Context(), validate.Client{Name: string('a' + n), Keys: []secret.Bytes{secret.Copy(bytes.Repeat([]byte{n}, 20))}, Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, s, `UPDATE client SET sealed = (SELECT o.sealed FROM client o WHERE o.id <> client.id)`)
	if _, err := p.openStore(t).Client(t.Context(), 1); !errors.Is(err, token.ErrIntegrity) {
		t.Errorf("clients: %v", err)
	}
}

// TestSecretsAreSealedAtRest looks for every secret in all bytes of the store.
func TestSecretsAreSealedAtRest(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	c := storetest.Sample(1, token.Active)
	id := harness{s, s}.Add(t, c)
	key := []byte("0123456789abcdefghij")
	if _, err := s.AddClient(t.Context(), validate.Client{Name: "n", Keys: []secret.Bytes{secret.Copy(key)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Note(t.Context(), note(id, c)); err != nil {
		t.Fatal(err)
	}
	harness{s, s}.Block(t, id)
	typed := c.Press(t, yubiotp.Token{UseCounter: 3})
	d := desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
	if _, outcome, err := d.Restore(t.Context(), typed, []string{typed}); err != nil || outcome != desk.Proven {
		t.Fatal(outcome, err)
	}
	for name, content := range p.files(t) {
		for what, needle := range map[string][]byte{"key": c.Key[:], "private ID": c.PrivateID[:], "client key": key, "OTP": []byte(typed[12:])} {
			if bytes.Contains(content, needle) || bytes.Contains(content, []byte(fmt.Sprintf("%x", needle))) {
				t.Errorf("%s: the %s is in the clear", name, what)
			}
		}
	}
}

// TestAuditInTheDatabase flips every column of every row, drops every row and renumbers every pair, behind the store's back.
func TestAuditInTheDatabase(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	h := harness{s, s}
	c := storetest.Sample(1, token.Active)
	id := h.Add(t, c)
	other := p.openStore(t)
	for _, st := range []*Store{s, other, s} {
		if err := st.Note(t.Context(), note(id, c)); err != nil {
			t.Fatal(err)
		}
	}
	h.Block(t, id)
	rows := verifyAudit(t, s).Events
	if rows < 8 {
		t.Fatalf("%d events", rows)
	}
	undetected := func(what, text string, args ...any) {
		t.Helper()
		tx, err := s.write.db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec(text, args...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		heads, err := auditHeads(t.Context(), tx)
		if err != nil {
			t.Fatal(err)
		}
		r, err := audit.Verify(s.keys.Signing.Public(), s.auditRows(t.Context(), tx, eventColumns+` ORDER BY chain, seq`), heads)
		if err != nil || r.OK() {
			t.Errorf("%s: not detected (%v)", what, err)
		}
	}
	for n := 1; n <= rows; n++ {
		for column, flip := range map[string]string{
			"chain": `chain || 'x'`, "seq": `seq + 1000`, "at": `at + 1`, "actor": `'bert'`, "action": `action || '.'`, "object": `object || ' '`,
			"detail": `detail || ' '`, "prev": `randomblob(32)`, "hash": `randomblob(32)`,
		} {
			undetected(fmt.Sprintf("row %d, %s", n, column), `UPDATE audit SET `+column+` = `+flip+` WHERE rowid = (SELECT rowid FROM audit ORDER BY rowid LIMIT 1 OFFSET ?)`, n-1)
		}
		undetected(fmt.Sprintf("row %d dropped", n), `DELETE FROM audit WHERE rowid = (SELECT rowid FROM audit ORDER BY rowid LIMIT 1 OFFSET ?)`, n-1)
	}
	for _, chain := range []string{audit.Desk, s.chain, other.chain} {
		undetected(chain+" dropped", `DELETE FROM audit WHERE chain = ?`, chain)
		undetected(chain+" without head", `DELETE FROM audit_head WHERE chain = ?`, chain)
		undetected(chain+" with another signature", `UPDATE audit_head SET signature = randomblob(64) WHERE chain = ?`, chain)
		undetected(chain+" with a head of before", `UPDATE audit_head SET seq = seq - 1 WHERE chain = ?`, chain)
	}
	undetected("two rows renumbered", `UPDATE audit SET seq = CASE seq WHEN 1 THEN -2 ELSE -1 END WHERE chain = 'desk' AND seq IN (1, 2); UPDATE audit SET seq = -seq WHERE seq < 0`)
	undetected("two chains swapped", `UPDATE audit SET chain = chain || 'x'; UPDATE audit SET chain = CASE chain WHEN ?1 || 'x' THEN ?2 WHEN ?2 || 'x' THEN ?1 ELSE 'desk' END`, s.chain, other.chain)
}

// TestAuditIsOffline: the exported lines are verified without the store.
func TestAuditIsOffline(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	c := storetest.Sample(1, token.Active)
	id := harness{s, s}.Add(t, c)
	for range 2*checkpointEvery + 1 {
		if err := s.Note(t.Context(), note(id, c)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := s.Audit(t.Context(), func(events iter.Seq2[audit.Event, error], heads []audit.Head) error {
		return audit.Write(&out, events, heads)
	}); err != nil {
		t.Fatal(err)
	}
	r, err := audit.VerifyLines(s.keys.Signing.Public(), bytes.NewReader(out.Bytes()))
	if err != nil || !r.OK() || len(r.Chains) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if n := strings.Count(out.String(), audit.Checkpoint); n != 2 {
		t.Errorf("%d checkpoints", n)
	}
	seen := 0
	for e, err := range s.AuditEvents(t.Context(), AuditFilter{Chain: s.chain, Object: c.PublicID.String(), From: time.Unix(1000, 0), Until: time.Unix(1001, 0)}) {
		if err != nil || e.Chain != s.chain {
			t.Fatal(e, err)
		}
		seen++
	}
	if seen != 2*checkpointEvery+1 {
		t.Errorf("%d events selected", seen)
	}
}
