package sqlstore

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// presented is the n-th OTP of a credential, which is told from others of the test by its number.
func presented(id token.CredentialID, c storetest.Credential, n int) validate.Advance {
	return validate.Advance{Credential: id, Use: n >> 8, Session: n & 0xff, Nonce: "0123456789abcdef", At: options().Now(),
		Event: validate.Event{Client: 1, Source: "192.0.2.1", PublicID: c.PublicID, Result: "OK", Reason: validate.ReasonAccepted}}
}

// openProxied is one more server, behind a network that breaks. Its chain is begun.
func openProxied(t *testing.T, p place, id token.CredentialID, c storetest.Credential) (*Store, *proxy) {
	t.Helper()
	net := startProxy(t, p.dir)
	s := place{net.url, p.keys}.openStore(t)
	if ok, err := s.Accept(t.Context(), presented(id, c, 0)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return s, net
}

// TestPGLostAnswers: wherever the connection is lost, an OTP is accepted once and said to be, and is once in the audit.
func TestPGLostAnswers(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	for name, where := range map[string]cut{
		"before the answer to BEGIN": cutBegun, "before COMMIT arrives": cutUnsent, "before the answer to COMMIT": cutCommitted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct, p := makePG(t, server)
			c := storetest.Sample(1, token.Active)
			h := harness{direct, direct}
			id := h.Add(t, c)
			s, net := openProxied(t, p, id, c)
			happens, _ := net.arm(where)
			ok, err := s.Accept(t.Context(), presented(id, c, 1))
			<-happens
			if !ok || err != nil {
				t.Fatalf("accepted %v, %v", ok, err)
			}
			if ok, err := s.Accept(t.Context(), presented(id, c, 1)); ok || err != nil {
				t.Errorf("once more: accepted %v, %v", ok, err)
			}
			happens, _ = net.arm(where)
			if err := s.Note(t.Context(), presented(id, c, 1)); err != nil {
				t.Error(err)
			}
			<-happens
			if ok, err := s.Accept(t.Context(), presented(id, c, 2)); !ok || err != nil {
				t.Errorf("the next one: accepted %v, %v", ok, err)
			}
			if n := h.Events(t); n != 4 {
				t.Errorf("%d events, want 4", n)
			}
			verifyAudit(t, direct)
		})
	}
}

// TestPGLateCommit: a COMMIT that nobody answers in time arrives after its place in the chain was taken. It changes nothing.
func TestPGLateCommit(t *testing.T) {
	t.Parallel()
	direct, p := makePG(t, pgtest.Shared(t))
	c := storetest.Sample(1, token.Active)
	h := harness{direct, direct}
	id := h.Add(t, c)
	s, net := openProxied(t, p, id, c)

	_, release := net.arm(cutLate)
	if err := s.Note(t.Context(), presented(id, c, 0)); err != nil { // no row is locked: it is done again meanwhile
		t.Fatal(err)
	}
	close(release)

	happens, release := net.arm(cutLate)
	done := make(chan error, 1)
	go func() {
		ok, err := s.Accept(t.Context(), presented(id, c, 1)) // its row is locked until it fails
		if err == nil && !ok {
			err = errors.New("refused")
		}
		done <- err
	}()
	<-happens
	for resumed(t, direct) < 2 && len(done) == 0 {
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := h.Events(t); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
	verifyAudit(t, direct)
}

// TestPGGone: while the database cannot be reached nobody is told that an OTP was accepted, and who waits for an answer waits no longer
// than the caller allows.
func TestPGGone(t *testing.T) {
	t.Parallel()
	direct, p := makePG(t, pgtest.Shared(t))
	c := storetest.Sample(1, token.Active)
	id := harness{direct, direct}.Add(t, c)
	s, net := openProxied(t, p, id, c)
	if err := net.listener.Close(); err != nil {
		t.Fatal(err)
	}
	net.arm(cutBegun)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan error, 1)
	go func() {
		ok, err := s.Accept(ctx, presented(id, c, 1))
		if ok {
			err = errors.New("accepted")
		}
		told <- err
	}()
	for !refusedToConnect(s) && len(told) == 0 {
	}
	cancel()
	if err := <-told; !errors.Is(err, context.Canceled) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if ok, err := direct.Accept(t.Context(), presented(id, c, 1)); !ok || err != nil {
		t.Errorf("at another server: accepted %v, %v", ok, err)
	}
	_ = s.Close() // it cannot end its chain
}

// refusedToConnect reports whether somebody waits because no connection could be made.
func refusedToConnect(s *Store) bool {
	q := &s.advancer.(*batched).presses
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.waiting, func(p *press) bool { return errors.Is(p.cause, syscall.ECONNREFUSED) })
}

// resumed is how often a chain went on after a COMMIT without an answer.
func resumed(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM audit WHERE action = ?`, chainResumed).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPGForeignEvent: somebody wrote to our chain. Another one is begun, nothing is lost, and the audit tells.
func TestPGForeignEvent(t *testing.T) {
	t.Parallel()
	s, p := makePG(t, pgtest.Shared(t))
	c := storetest.Sample(1, token.Active)
	id := harness{s, s}.Add(t, c)
	if ok, err := s.Accept(t.Context(), presented(id, c, 0)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	execute(t, s, `INSERT INTO audit SELECT chain, seq + 1, at, actor, action, object, detail, prev, hash FROM audit WHERE action = 'validate'`)
	if ok, err := s.Accept(t.Context(), presented(id, c, 1)); !ok || err != nil {
		t.Errorf("accepted %v, %v", ok, err)
	}
	r, err := s.AuditVerify(t.Context(), p.keys.Signing.Public())
	if err != nil || r.OK() || len(r.Chains) != 3 { // desk, and two of this process
		t.Errorf("%+v, %v", r, err)
	}
}

// TestPGWaitingEnds: who waits for a row of somebody else stops waiting with its context, and nobody behind it is harmed.
func TestPGWaitingEnds(t *testing.T) {
	t.Parallel()
	s, p := makePG(t, pgtest.Shared(t))
	c, other := storetest.Sample(1, token.Active), storetest.Sample(2, token.Active)
	id, otherID := harness{s, s}.Add(t, c), harness{s, s}.Add(t, other)
	if ok, err := s.Accept(t.Context(), presented(otherID, other, 0)); !ok || err != nil { // begins the chain
		t.Fatal(ok, err)
	}
	staff := p.openStore(t)
	held, free := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- staff.change(t.Context(), func(tx *tx) error {
			_, err := tx.Exec(`UPDATE counter SET at = at WHERE credential = ?`, id)
			close(held)
			<-free
			return err
		})
	}()
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error)
	go func() {
		_, err := s.Accept(ctx, presented(id, c, 1))
		waits <- err
	}()
	for s.Waiting() > 0 || !busyWith(s, id) {
		if t.Context().Err() != nil {
			t.Fatal("it is never asked")
		}
	}
	if ok, err := s.Accept(t.Context(), presented(otherID, other, 1)); !ok || err != nil {
		t.Errorf("on the other lane: %v, %v", ok, err)
	}
	cancel()
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(free)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if ok, err := s.Accept(t.Context(), presented(id, c, 2)); !ok || err != nil {
		t.Errorf("afterwards: %v, %v", ok, err)
	}
	verifyAudit(t, s)
}

// busyWith reports whether a batch with this credential is on its way.
func busyWith(s *Store, id token.CredentialID) bool {
	q := &s.advancer.(*batched).presses
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy[id]
}

// TestPGCheckpoints: the desk chain marks the chain of a server every checkpointEvery events, and at its end.
func TestPGCheckpoints(t *testing.T) {
	t.Parallel()
	direct, p := makePG(t, pgtest.Shared(t))
	c := storetest.Sample(1, token.Active)
	id := harness{direct, direct}.Add(t, c)
	s := p.openStore(t)
	marks := func() (n int) {
		t.Helper()
		must(t, direct.read.QueryRowContext(t.Context(), `SELECT count(*) FROM audit WHERE action = ?`, audit.Checkpoint).Scan(&n))
		return n
	}
	note := func() error { return s.Note(t.Context(), presented(id, c, 0)) }
	must(t, note())
	if n := marks(); n != 0 {
		t.Errorf("%d checkpoints after one event", n)
	}
	together(t, 50, func(int) error {
		for range checkpointEvery / 50 {
			if err := note(); err != nil {
				return err
			}
		}
		return nil
	})
	for end := time.Now().Add(time.Minute); marks() == 0 && time.Now().Before(end); { // it is made beside what follows
	}
	must(t, note()) // the next one is far
	closeStore(t, s)
	if n := marks(); n < 2 {
		t.Errorf("%d checkpoints", n)
	}
	verifyAudit(t, direct)
}
