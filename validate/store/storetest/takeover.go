package storetest

import (
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// foreignKey is the key of n, as another server has it, with counters (use, session). with: it comes along.
func foreignKey(n, use, session int, active, with bool) desk.Foreign {
	c := Sample(n, "")
	c.PublicID = token.SerialPublicID(token.Serial(100 + n))
	f := desk.Foreign{Line: n, Active: active, Raise: raiseOf(c, use, session, "foreignnonce0000")}
	if with {
		f.Key = &keyfile.Record{Line: n, Kind: token.YubicoOTP, Serial: token.Serial(100 + n), PublicID: c.PublicID, Key: secret.Copy(c.Key[:]), PrivateID: secret.Copy(c.PrivateID[:])}
	}
	return f
}

// takeOver reports outcomes; rows may hold errors.
func takeOver(t *testing.T, d *desk.Desk, dry bool, rows ...any) []desk.Outcome {
	t.Helper()
	var out []desk.Outcome
	next := 0
	err := d.TakeOver(t.Context(), "old.csv", dry, rowsOf[desk.Foreign](rows), func(i desk.Imported) {
		if f, ok := rows[next].(desk.Foreign); ok && f.Line != i.Line {
			t.Errorf("line %d is told as %d", f.Line, i.Line)
		}
		next++
		out = append(out, i.Outcome)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func rowsOf[T any](rows []any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, r := range rows {
			row, _ := r.(T)
			err, _ := r.(error)
			if !yield(row, err) {
				return
			}
		}
	}
}

// testTakeOver: keys come with their counters, in one step; counters alone raise keys that are here, in any order and any number of
// times; what is inactive is blocked, and what is active unblocks nothing.
func testTakeOver(t *testing.T, s deskSuite) {
	verify := func(n, use, session int, want validate.Outcome) {
		t.Helper()
		v := validate.New(s, func() time.Time { return at(0) })
		got, err := v.Verify(t.Context(), validate.Request{OTP: otp(t, n, use, session), Nonce: "n"})
		if err != nil || got.Outcome != want {
			t.Errorf("key %d (%d, %d): %s (%s), %v; want %s", n, use, session, got.Outcome, got.Reason, err, want)
		}
	}
	is := func(what string, got []desk.Outcome, want ...desk.Outcome) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	bad := &keyfile.RowError{Format: "x", Line: 9, Column: 2, Field: "counter", Cause: "is none"}
	all := func() []any {
		return []any{foreignKey(1, 5, 3, true, true), foreignKey(2, 9, 0, false, true), foreignKey(3, -1, -1, true, true), bad, foreignKey(4, 1, 1, true, false)}
	}
	want := []desk.Outcome{desk.New, desk.New, desk.New, desk.Bad, desk.Missing}
	is("dry", takeOver(t, s.d, true, all()...), want...)
	if list, err := s.d.Tokens(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("a dry run left %d tokens, %v", len(list), err)
	}
	is("first", takeOver(t, s.d, false, all()...), want...)
	verify(1, 5, 3, validate.Replayed)
	verify(1, 5, 4, validate.Accepted)
	verify(3, 0, 0, validate.Accepted)
	verify(2, 9, 1, validate.BadOTP)
	if k, err := s.d.Find(t.Context(), "102"); err != nil || k.State != token.Lost || k.Reason != token.ReasonLost {
		t.Errorf("inactive: %+v, %v", k, err)
	}
	is("again", takeOver(t, s.d, false, foreignKey(1, 5, 3, true, true), foreignKey(2, 9, 0, false, true), foreignKey(3, -1, -1, true, true)),
		desk.Known, desk.Known, desk.Known)
	is("counters", takeOver(t, s.d, false, foreignKey(1, 7, 0, true, false), foreignKey(2, 10, 0, true, false), foreignKey(3, 0, 0, true, false)),
		desk.Raised, desk.Raised, desk.Known)
	verify(1, 7, 0, validate.Replayed)
	verify(1, 6, 9, validate.Replayed)
	verify(2, 10, 1, validate.BadOTP) // active elsewhere unblocks nothing
	is("blocked later", takeOver(t, s.d, false, foreignKey(1, 7, 0, false, false)), desk.Raised)
	verify(1, 8, 0, validate.BadOTP)
	is("blocked again", takeOver(t, s.d, false, foreignKey(1, 7, 0, false, false)), desk.Known)

	other := foreignKey(3, 3, 3, true, true)
	other.Key.Key = secret.New(make([]byte, 16))
	is("another key", takeOver(t, s.d, false, other), desk.Different)
	verify(3, 0, 1, validate.Accepted)                                                                                    // its counters were not touched
	if _, proof, err := s.d.Restore(t.Context(), "102", []string{otp(t, 2, 10, 1)}); err != nil || proof == desk.Proven { // spent while blocked
		t.Errorf("restore by an OTP that was seen: %s, %v", proof, err)
	}
	if _, proof, err := s.d.Restore(t.Context(), "102", []string{otp(t, 2, 10, 2)}); err != nil || proof != desk.Proven {
		t.Errorf("restore: %s, %v", proof, err)
	}
	verify(2, 10, 3, validate.Accepted)
}

// testTakeOverAgain: a HOTP token that was used at the old server since it was taken over is taken over again, and never falls back.
func testTakeOverAgain(t *testing.T, s deskSuite) {
	hotp := func(counter int64) desk.Foreign {
		return desk.Foreign{Line: 1, Active: true, Key: &keyfile.Record{Line: 1, Kind: token.HOTP, Label: "ubhe12345678", Digits: 6, Hash: "sha1",
			Counter: counter, Key: secret.New([]byte("12345678901234567890"))}}
	}
	for i, step := range []struct {
		dry     bool
		counter int64
		want    desk.Outcome
		moving  int64
	}{{false, 9, desk.New, 8}, {false, 9, desk.Known, 8}, {true, 12, desk.Raised, 8}, {false, 12, desk.Raised, 11}, {false, 9, desk.Known, 11}, {false, 0, desk.Known, 11}} {
		if got := takeOver(t, s.d, step.dry, hotp(step.counter)); !slices.Equal(got, []desk.Outcome{step.want}) {
			t.Errorf("step %d: %v, want %s", i, got, step.want)
		}
		k, err := s.d.Find(t.Context(), "ubhe12345678")
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.d.Store.Credentials(t.Context(), k.ID)
		if err != nil || len(list) != 1 || list[0].Counters.Moving != step.moving {
			t.Errorf("step %d: %+v, %v; want counter %d", i, list, err, step.moving)
		}
	}
}

func testTakeOverClients(t *testing.T, s deskSuite) {
	key := func(b byte) []secret.Bytes { return []secret.Bytes{secret.New([]byte{b, 1, 2, 3, 4, 5, 6, 7, 8, 9})} }
	old := func(id int64, name string, k byte, active bool) desk.ForeignClient {
		return desk.ForeignClient{Line: int(id), Client: validate.Client{ID: id, Name: name, Keys: key(k), Active: active, Note: "from afar"}, Created: at(1)}
	}
	take := func(dry bool, rows ...any) (out []desk.Outcome) {
		t.Helper()
		err := s.d.TakeOverClients(t.Context(), "clients.csv", dry, rowsOf[desk.ForeignClient](rows), func(i desk.Imported) { out = append(out, i.Outcome) })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	own, err := s.d.AddClient(t.Context(), "own", desk.ClientRights{})
	if err != nil || own.ID != 1 {
		t.Fatalf("%+v, %v", own, err)
	}
	for _, step := range []struct {
		name string
		dry  bool
		rows []any
		want []desk.Outcome
	}{
		{"dry", true, []any{old(7, "seven", 7, true)}, []desk.Outcome{desk.New}},
		{"first", false, []any{old(7, "seven", 7, true), old(8, "eight", 8, false), old(1, "one", 1, true), old(9, "own", 9, true)},
			[]desk.Outcome{desk.New, desk.New, desk.Different, desk.Different}},
		{"again", false, []any{old(7, "seven", 7, true), old(8, "eight", 8, false)}, []desk.Outcome{desk.Known, desk.Known}},
		{"changed", false, []any{old(7, "seven", 8, true), old(7, "seven", 7, false), old(8, "eight", 8, true)}, []desk.Outcome{desk.Different, desk.Different, desk.Different}},
		{"twice in a file", false, []any{old(20, "twenty", 1, true), old(20, "other", 2, true), old(20, "twenty", 1, true)}, []desk.Outcome{desk.New, desk.Different, desk.Known}},
		{"unusable", false, []any{old(0, "zero", 1, true), old(desk.MaxForeignClient+1, "big", 1, true), old(5, "5", 1, true), old(5, "", 1, true)},
			[]desk.Outcome{desk.Bad, desk.Bad, desk.Bad, desk.Bad}},
		{"the highest", false, []any{old(desk.MaxForeignClient, "highest", 3, true)}, []desk.Outcome{desk.New}},
	} {
		if got := take(step.dry, step.rows...); !slices.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
		if _, err := s.Full.(validate.Clients).Client(t.Context(), 7); step.dry && !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	c, err := s.Full.(validate.Clients).Client(t.Context(), 7)
	if err != nil || !c.Active || len(c.Keys) != 1 || !c.Keys[0].Equal(key(7)[0]) || c.Name != "seven" {
		t.Errorf("client 7: %+v, %v", c, err)
	}
	if c, err := s.Full.(validate.Clients).Client(t.Context(), 8); err != nil || c.Active || len(c.Keys) != 0 {
		t.Errorf("client 8: %+v, %v", c, err)
	}
	if c, err := s.d.Client(t.Context(), "seven"); err != nil || c.Note != "from afar" {
		t.Errorf("note %q, %v", c.Note, err)
	}
	c, err = s.d.AddClient(t.Context(), "next", desk.ClientRights{Decrypt: true})
	if err != nil || c.ID != desk.MaxForeignClient+1 {
		t.Errorf("the next has number %d, %v", c.ID, err)
	}
	if c, err := s.Full.(validate.Clients).Client(t.Context(), c.ID); err != nil || !c.Decrypt {
		t.Errorf("decrypt %v, %v", c.Decrypt, err)
	}
	no := false
	if c, err := s.d.SetClient(t.Context(), "next", desk.ClientChange{Decrypt: &no}); err != nil || c.Decrypt {
		t.Errorf("decrypt %v, %v", c.Decrypt, err)
	}
	if _, err := s.d.RotateClient(t.Context(), "seven", time.Hour); err != nil {
		t.Error(err)
	}
	if got := take(false, old(7, "seven", 7, true)); !slices.Equal(got, []desk.Outcome{desk.Known}) { // its former key
		t.Errorf("between two keys: %v", got)
	}
}
