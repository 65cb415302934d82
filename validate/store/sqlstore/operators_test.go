package sqlstore

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

func TestOperators(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunOperators(t, func(t *testing.T, now func() time.Time) (storetest.Full, storetest.Full) {
			h := open(t)
			h.s.now, h.another.now = now, now
			return h.s, h.another
		})
	})
}

func TestKept(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunKept(t, func(t *testing.T, now func() time.Time) (storetest.Full, storetest.Full) {
			h := open(t)
			h.s.now, h.another.now = now, now
			return h.s, h.another
		})
	})
}

// TestStaffInAudit: who was given what, and who logs in and out, is in the chain under the operator's name; no secret is, nor is
// one in the files.
func TestStaffInAudit(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	d := &desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, apiToken, err := d.AddOperator(t.Context(), "hopper", []desk.Role{desk.RoleHelpdesk})
	must(err)
	session, _, err := d.LogIn(t.Context(), string(apiToken.Reveal()))
	must(err)
	value := string(session.Value.Reveal())
	must(d.LogOut(t.Context(), value))
	must(d.RevokeOperator(t.Context(), "hopper"))
	c, err := d.AddClient(t.Context(), "vpn", desk.ClientRights{Groups: []string{"staff"}})
	must(err)
	again, err := d.RotateClient(t.Context(), "vpn", time.Hour)
	must(err)
	_, err = d.RevokeClient(t.Context(), "vpn")
	must(err)
	verifyAudit(t, s)
	rows, err := collect(t.Context(), s.read, func(r scanner) (e [3]string, err error) { return e, r.Scan(&e[0], &e[1], &e[2]) },
		`SELECT actor, action, object FROM audit WHERE chain = 'desk' ORDER BY seq`)
	must(err)
	want := [][3]string{
		{"anna", "store.create", "store"}, {"anna", "operator.add", "operator 1"}, {"operator hopper", "operator.login", "operator 1"},
		{"operator hopper", "operator.logout", "operator 1"}, {"anna", "operator.revoke", "operator 1"}, {"anna", "client.add", "client 1"},
		{"anna", "client.rotate", "client 1"}, {"anna", "client.revoke", "client 1"},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("%q", rows)
	}
	for name, text := range p.files(t) {
		for i, s := range []secret.Bytes{apiToken, session.Value, c.Keys[0], again.Keys[0]} {
			if bytes.Contains(text, s.Reveal()) {
				t.Errorf("secret %d is in %s", i, name)
			}
		}
	}
}

// TestSwappedClientKeys: a key that somebody puts back where another was does not open.
func TestSwappedClientKeys(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	d := &desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
	if _, err := d.AddClient(t.Context(), "vpn", desk.ClientRights{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RotateClient(t.Context(), "vpn", time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, st := range []*Store{s, p.openStore(t)} {
		if c, err := st.Client(t.Context(), 1); err != nil || len(c.Keys) != 2 {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	execute(t, s, `UPDATE client SET sealed = former_sealed, former_sealed = sealed`)
	for _, st := range []*Store{s, p.openStore(t)} {
		if c, err := st.Client(t.Context(), 1); err == nil {
			t.Errorf("%d keys", len(c.Keys))
		}
	}
}

// TestSweepStaff: sessions that have ended leave the table, and a former key of a client that is over leaves the store; others stay.
func TestSweepStaff(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	now := time.Now()
	s.now = func() time.Time { return now }
	d := &desk.Desk{Store: s, Now: s.now, Rand: rand.Reader}
	_, apiToken, err := d.AddOperator(t.Context(), "hopper", []desk.Role{desk.RoleHelpdesk})
	if err != nil {
		t.Fatal(err)
	}
	for i, keep := range []time.Duration{desk.SessionIdle, 2 * desk.SessionIdle, time.Hour} {
		name := string('a' + rune(i))
		if _, err := d.AddClient(t.Context(), name, desk.ClientRights{}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.RotateClient(t.Context(), name, keep); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.LogIn(t.Context(), string(apiToken.Reveal())); err != nil {
			t.Fatal(err)
		}
		now = now.Add(desk.SessionIdle / 2)
	}
	got, err := d.Sweep(t.Context())
	if err != nil || got != (desk.Swept{Sessions: 2, ClientKeys: 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	left := 0
	if err := s.read.db.QueryRow(`SELECT count(*) FROM client WHERE length(former_sealed) > 0`).Scan(&left); err != nil || left != 2 {
		t.Errorf("%d former keys are left, %v", left, err)
	}
	verifyAudit(t, s)
}
