// Package storetest is the suite that every store passes. RunCounters is the part that validate decides with.
package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Harness is an empty store and the few acts of staff that the suite needs. Close it with t.Cleanup.
type Harness interface {
	// Counters is the store. Another is a second way into the same data, as another process has it; a store that lives in one
	// process returns the same again.
	Counters() validate.Counters
	Another() validate.Counters
	Clients() validate.Clients
	// Add puts a credential with fresh counters on a token of its own; both are in that state.
	Add(t testing.TB, c Credential) token.CredentialID
	// Block blocks the credential's token as lost; Unblock makes the row enabled again and leaves the counters.
	Block(t testing.TB, id token.CredentialID)
	Unblock(t testing.TB, id token.CredentialID)
	// AddClient stores c with an ID of the store's choice and returns it.
	AddClient(t testing.TB, c validate.Client) int64
	// Events is the number of validation events written so far.
	Events(t testing.TB) int
}

// Credential is what Harness.Add stores.
type Credential struct {
	PublicID  token.PublicID
	Key       [yubiotp.KeyLen]byte
	PrivateID [yubiotp.PrivateIDLen]byte
	State     token.State
}

// Sample is the n-th credential of a suite: every field depends on n.
func Sample(n int, s token.State) Credential {
	id, err := token.NewPublicID([]byte{0xff, 0, 0, 0, byte(n >> 8), byte(n)})
	if err != nil {
		panic(err)
	}
	c := Credential{PublicID: id, State: s}
	for i := range c.Key {
		c.Key[i] = byte(n + i)
	}
	for i := range c.PrivateID {
		c.PrivateID[i] = byte(0xA0 + n + i)
	}
	return c
}

// Press is the OTP that the credential types.
func (c Credential) Press(t testing.TB, otp yubiotp.Token) string {
	t.Helper()
	cipher, err := yubiotp.NewCipher(secret.Copy(c.Key[:]), secret.Copy(c.PrivateID[:]))
	if err != nil {
		t.Fatal(err)
	}
	defer cipher.Destroy()
	return yubiotp.Join(c.PublicID.Bytes(), cipher.Seal(otp))
}

// RunCounters runs the suite; open gives a new store each time.
func RunCounters(t *testing.T, open func(t *testing.T) Harness) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s suite)
	}{
		{"find", testFind},
		{"states", testStates},
		{"order", testOrder},
		{"first OTP proves", testProgrammed},
		{"block", testBlock},
		{"spend", testSpend},
		{"events", testEvents},
		{"clients", testClients},
		{"one of 64", testOneOf64},
		{"never backwards", testNeverBackwards},
		{"block against 32", testBlockRace},
		{"raise", testRaise},
		{"raise blocked", testRaiseBlocked},
		{"raise against accept", testRaiseRace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			tc.run(t, suite{h, h.Counters(), h.Another()})
		})
	}
}

// suite is one run: a harness and two ways into its store.
type suite struct {
	Harness
	a, b validate.Counters
}

// at is the n-th moment of the suite, whole seconds.
func at(n int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5+n, 0, time.UTC) }

// advance presents (use, session) with that nonce. The other values depend on them.
func advance(id token.CredentialID, c Credential, use, session int, nonce string) validate.Advance {
	return validate.Advance{
		Credential: id, Use: use, Session: session, Timestamp: 100*use + session, Nonce: nonce, At: at(use),
		Event: validate.Event{Client: 1, Source: "192.0.2.1", PublicID: c.PublicID, Result: "OK", Reason: validate.ReasonAccepted},
	}
}

func (s suite) accept(t *testing.T, a validate.Advance, want bool) {
	t.Helper()
	got, err := s.a.Accept(t.Context(), a)
	if err != nil || got != want {
		t.Fatalf("accept (%d, %d): %v, %v; want %v", a.Use, a.Session, got, err, want)
	}
}

func (s suite) row(t *testing.T, c Credential) validate.Row {
	t.Helper()
	got, err := s.b.Find(t.Context(), c.PublicID)
	if err != nil {
		t.Fatalf("find: %v", err)
	}
	return got.Row
}

// stored checks what Accept or Spend left in the row.
func (s suite) stored(t *testing.T, c Credential, use, session int, nonce string) {
	t.Helper()
	got := s.row(t, c).Counters
	if got.Use != use || got.Session != session || got.Nonce != nonce {
		t.Fatalf("stored (%d, %d) %q, want (%d, %d) %q", got.Use, got.Session, got.Nonce, use, session, nonce)
	}
	if use < 0 {
		return
	}
	if got.Timestamp != 100*use+session || !got.At.Equal(at(use)) {
		t.Fatalf("stored timestamp %d at %v, want %d at %v", got.Timestamp, got.At, 100*use+session, at(use))
	}
}

func testFind(t *testing.T, s suite) {
	one, two := Sample(1, token.Active), Sample(2, token.Active)
	empty := Sample(3, token.Active)
	empty.PublicID = token.PublicID{}
	for _, c := range []Credential{one, two} {
		id := s.Add(t, c)
		got, err := s.a.Find(t.Context(), c.PublicID)
		if err != nil || got.ID != id || got.PublicID != c.PublicID || got.Token == 0 {
			t.Fatalf("found credential %d token %d %s, %v", got.ID, got.Token, got.PublicID, err)
		}
		_, block, err := yubiotp.Split(c.Press(t, yubiotp.Token{UseCounter: 7, SessionCounter: 3}))
		if err != nil {
			t.Fatal(err)
		}
		if otp, verdict := got.Cipher.Open(block); verdict != yubiotp.OK || otp.UseCounter != 7 || otp.SessionCounter != 3 {
			t.Errorf("its own OTP: %v %v", verdict, otp)
		}
		s.stored(t, c, -1, -1, "")
	}
	if _, err := s.a.Find(t.Context(), empty.PublicID); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("no credential without public ID: %v", err)
	}
	id := s.Add(t, empty)
	if got, err := s.a.Find(t.Context(), empty.PublicID); err != nil || got.ID != id {
		t.Errorf("the credential without public ID: %d, %v", got.ID, err)
	}
}

func testStates(t *testing.T, s suite) {
	for n, tc := range []struct {
		state   token.State
		enabled bool
	}{{token.Active, true}, {token.Programmed, true}, {token.InStock, false}} {
		c := Sample(n, tc.state)
		id := s.Add(t, c)
		if row := s.row(t, c); row.Enabled != tc.enabled || row.State != tc.state || row.Token != tc.state {
			t.Errorf("%s: row %+v", tc.state, row)
		}
		s.accept(t, advance(id, c, 1, 0, "n"), tc.enabled)
	}
	revoked := Sample(9, token.Revoked)
	id := s.Add(t, revoked)
	if _, err := s.a.Find(t.Context(), revoked.PublicID); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("revoked: %v", err)
	}
	s.accept(t, advance(id, revoked, 1, 0, "n"), false)
}

func testOrder(t *testing.T, s suite) {
	c := Sample(1, token.Active)
	id := s.Add(t, c)
	for _, tc := range []struct {
		use, session int
		want         bool
	}{
		{0, 0, true}, {0, 0, false}, {0, 1, true}, {0, 0, false}, {1, 0, true}, {0, 255, false}, {1, 255, true},
		{2, 0, true}, {0x7FFF, 254, true}, {1, 0, false}, {0x7FFF, 255, true}, {0x7FFF, 255, false}, {0x7FFF, 0, false},
	} {
		before := s.row(t, c).Counters
		s.accept(t, advance(id, c, tc.use, tc.session, fmt.Sprint("nonce", tc.use)), tc.want)
		if tc.want {
			s.stored(t, c, tc.use, tc.session, fmt.Sprint("nonce", tc.use))
		} else if after := s.row(t, c).Counters; after != before {
			t.Errorf("refused (%d, %d) changed %+v to %+v", tc.use, tc.session, before, after)
		}
	}
	s.accept(t, advance(id+1000, c, 1, 0, "n"), false) // no such credential
}

func testProgrammed(t *testing.T, s suite) {
	c := Sample(1, token.Programmed)
	id := s.Add(t, c)
	s.accept(t, advance(id, c, 0, 0, "n"), true)
	if row := s.row(t, c); row.State != token.Active || row.Token != token.Active || !row.Enabled {
		t.Errorf("after the first good OTP: %+v", row)
	}
}

func testBlock(t *testing.T, s suite) {
	c, other := Sample(1, token.Active), Sample(2, token.Active)
	id, otherID := s.Add(t, c), s.Add(t, other)
	s.accept(t, advance(id, c, 5, 5, "n"), true)
	s.Block(t, id)
	if row := s.row(t, c); row.Enabled || !row.Token.Blocked() {
		t.Errorf("blocked row: %+v", row)
	}
	s.accept(t, advance(id, c, 6, 0, "n"), false)
	s.accept(t, advance(id, c, 5, 5, "n"), false)
	s.stored(t, c, 5, 5, "n")
	s.accept(t, advance(otherID, other, 1, 0, "n"), true)
	s.Unblock(t, id)
	s.stored(t, c, 5, 5, "n")
	s.accept(t, advance(id, c, 5, 5, "m"), false)
	s.accept(t, advance(id, c, 6, 0, "n"), true)
}

func testSpend(t *testing.T, s suite) {
	c := Sample(1, token.Active)
	id := s.Add(t, c)
	spend := func(use, session int) {
		t.Helper()
		if err := s.a.Spend(t.Context(), advance(id, c, use, session, "spent")); err != nil {
			t.Fatal(err)
		}
	}
	s.accept(t, advance(id, c, 5, 5, "n"), true)
	spend(9, 0)
	s.stored(t, c, 5, 5, "n") // enabled: nothing is spent without being accepted
	s.Block(t, id)
	spend(5, 5)
	s.stored(t, c, 5, 5, "n")
	spend(7, 1)
	s.stored(t, c, 7, 1, "")
	spend(6, 9)
	s.stored(t, c, 7, 1, "")
	if row := s.row(t, c); row.Enabled {
		t.Error("spending enabled the row")
	}
	s.Unblock(t, id)
	s.accept(t, advance(id, c, 7, 1, "spent"), false)
	s.accept(t, advance(id, c, 6, 9, "x"), false)
	s.accept(t, advance(id, c, 7, 2, "x"), true)
}

func testEvents(t *testing.T, s suite) {
	c := Sample(1, token.Active)
	id := s.Add(t, c)
	start := s.Events(t)
	want := func(n int, what string) {
		t.Helper()
		if got := s.Events(t) - start; got != n {
			t.Fatalf("after %s: %d events, want %d", what, got, n)
		}
	}
	s.accept(t, advance(id, c, 1, 0, "n"), true)
	want(1, "an accepted OTP")
	s.accept(t, advance(id, c, 1, 0, "n"), false)
	want(1, "a refused one: the caller notes it when it knows why")
	note := advance(id, c, -1, -1, "n")
	note.Event.Result, note.Event.Reason = "BAD_OTP", validate.ReasonCRC
	if err := s.a.Note(t.Context(), note); err != nil {
		t.Fatal(err)
	}
	want(2, "a note")
	s.stored(t, c, 1, 0, "n")
	s.Block(t, id)
	start = s.Events(t) - 2 // a store may count the block
	for n := range 2 {
		if err := s.a.Spend(t.Context(), advance(id, c, 2, 0, "n")); err != nil {
			t.Fatal(err)
		}
		want(3+n, "spending")
	}
}

func testClients(t *testing.T, s suite) {
	key := func(b byte) secret.Bytes {
		return secret.New([]byte{b, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	}
	for n, c := range []validate.Client{
		{Name: "one", Keys: []secret.Bytes{key(1)}, Active: true},
		{Name: "two", Keys: []secret.Bytes{key(2)}, Active: true, MustSig: true},
		{Name: "three", Keys: []secret.Bytes{key(3)}},
	} {
		id := s.AddClient(t, c)
		got, err := s.Clients().Client(t.Context(), id)
		if err != nil || id <= 0 {
			t.Fatalf("client %d: %v", id, err)
		}
		if got.ID != id || got.Name != c.Name || got.Active != c.Active || got.MustSig != c.MustSig {
			t.Errorf("client %d: %+v, want %+v", id, got, c)
		}
		if c.Active && (len(got.Keys) != 1 || !got.Keys[0].Equal(key(byte(n+1)))) {
			t.Errorf("client %d: %d keys", id, len(got.Keys))
		}
	}
	for _, id := range []int64{0, -1, 4711, 9999999999} {
		if _, err := s.Clients().Client(t.Context(), id); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("client %d: %v", id, err)
		}
	}
}
