package storetest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Journals is the part of a store that knows stations.
type Journals interface {
	journal.Registrar
	journal.Store
}

// field is a station without a network, and the server's keys.
type field struct {
	s        *lifeSuite
	dir      string
	line     string
	signing  seal.SigningKey
	transfer seal.TransferKey
	snapshot journal.Snapshot
}

func (s *lifeSuite) journals() (here, there Journals) {
	return s.a.Full.(Journals), s.b.(Journals) // a full store has all parts
}

// inField registers a station that may write most keys within a day.
func (s *lifeSuite) inField(t *testing.T, name string, most int) *field {
	t.Helper()
	f := &field{s: s, dir: t.TempDir()}
	var err error
	f.signing, err = seal.CreateSigningFile(filepath.Join(t.TempDir(), "s"), rand.Reader)
	s.a.must(t, err)
	f.transfer, err = seal.CreateTransferFile(filepath.Join(t.TempDir(), "t"), rand.Reader)
	s.a.must(t, err)
	f.line, err = journal.Init(f.dir, name, f.options())
	s.a.must(t, err)
	f.grant(t, most)
	return f
}

func (f *field) options() journal.Options {
	return journal.Options{Now: f.s.now, Rand: rand.Reader, Operator: "olga"}
}

func (f *field) grant(t *testing.T, most int) {
	t.Helper()
	name, public, err := journal.ParseLine(f.line)
	f.s.a.must(t, err)
	here, _ := f.s.journals()
	f.snapshot, err = here.Grant(t.Context(), journal.Grant{Name: name, Public: public, Transfer: f.transfer.Public(), Most: most, Until: f.s.now().Add(24 * time.Hour)})
	f.s.a.must(t, err)
	f.install(t, f.snapshot)
}

func (f *field) install(t *testing.T, s journal.Snapshot) {
	t.Helper()
	text, err := s.Sign(f.signing)
	f.s.a.must(t, err)
	_, err = journal.Install(f.dir, text)
	f.s.a.must(t, err)
}

// write takes the key of n to a phase at the station.
func (f *field) write(t *testing.T, n int, holder string, until token.Phase) token.EntryID {
	t.Helper()
	st, err := journal.Open(f.dir, f.options())
	f.s.a.must(t, err)
	defer func() { f.s.a.must(t, st.Close()) }()
	r := reservation(token.Serial(100 + n))
	if holder != "" {
		p, _, err := st.Person(t.Context(), holder)
		f.s.a.must(t, err)
		r.Holder, r.Handover.IDCheck = p.ID, token.ByPassport
	}
	e, err := st.Reserve(t.Context(), r)
	f.s.a.must(t, err)
	f.finish(t, st, n, e.ID, until)
	return e.ID
}

func (f *field) finish(t *testing.T, st *journal.Station, n int, id token.EntryID, until token.Phase) {
	t.Helper()
	steps := []func() error{
		func() error { return st.Seal(t.Context(), id, secretsOf(n)) },
		func() error { return st.Mark(t.Context(), id, token.Writing) },
		func() error { return st.Mark(t.Context(), id, token.Written) },
		func() error { return st.Commit(t.Context(), id, counters(1, 3)) },
	}
	phases := []token.Phase{token.Reserved, token.Sealed, token.Writing, token.Written, token.Committed}
	for _, step := range steps[:slices.Index(phases, until)] {
		f.s.a.must(t, step())
	}
}

func (f *field) text(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "journal"))
	f.s.a.must(t, err)
	return b
}

// imported is what an import says of each write: "done", "conflict".
func (f *field) imported(t *testing.T, to Journals, text []byte, withOpen bool) []string {
	t.Helper()
	var out []string
	_, err := journal.Import(t.Context(), to, f.transfer, bytes.NewReader(text), withOpen, func(i journal.Imported) {
		out = append(out, string(i.Outcome))
		if i.Outcome == journal.Conflict && i.Why == "" {
			t.Error("a conflict without a reason")
		}
	})
	f.s.a.must(t, err)
	return out
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func testJournal(t *testing.T, s *lifeSuite) {
	here, there := s.journals()
	f := s.inField(t, "DESK1", 5)
	s.pass(time.Hour)
	f.write(t, 1, "anna", token.Committed)
	wrote := s.now()
	f.write(t, 2, "", token.Committed)
	s.pass(time.Hour)
	same(t, "first", f.imported(t, here, f.text(t), false), "done", "done")
	same(t, "again", f.imported(t, there, f.text(t), false), "already", "already")
	k := s.is(t, "101", token.Active, "anna")
	if !k.IssuedAt.Equal(wrote) {
		t.Errorf("issued at %v, want %v", k.IssuedAt, wrote)
	}
	s.is(t, "102", token.Active, "")
	r, err := s.there.ReceiptOf(t.Context(), k.ID)
	if err != nil || r.Ref() != "R-DESK1-1" || r.Operator != "olga" || !r.At.Equal(wrote) || r.Account != "anna" || r.IDCheck != token.ByPassport || r.PublicID != token.SerialPublicID(101) {
		t.Errorf("%+v, %v", r, err)
	}
	if s.valid(t, 1, 1, 3) || !s.valid(t, 1, 1, 4) {
		t.Error("the OTP that proved it was accepted, or the next one was not")
	}
	_, live, err := s.b.Slots(t.Context(), 101)
	want := secretsOf(1)
	if err != nil || len(live) != 1 || !live[0].Secrets.Key.Equal(want.Key) || !live[0].Secrets.PrivateID.Equal(want.PrivateID) || !live[0].Secrets.AccessCode.Equal(want.AccessCode) {
		t.Errorf("its secrets are not those that were drawn: %d, %v", len(live), err)
	}
	f.write(t, 3, "bert", token.Committed)
	same(t, "more of the same", f.imported(t, there, f.text(t), false), "already", "already", "done")
	s.onShelf(t, 9)
	if _, r, _, err := s.here.Bind(t.Context(), otp(t, 9, 3, 0), handTo("bert")); err != nil || r.Ref() != "R-1" {
		t.Errorf("the store's own numbers are counted apart: %s, %v", r.Ref(), err)
	}
	known, err := there.Station(t.Context(), "DESK1")
	if err != nil || known.Taken != 3 || known.Seq == 0 || known.Most != 5 || known.Grants != 1 {
		t.Errorf("%+v, %v", known, err)
	}
}

func testJournalRace(t *testing.T, s *lifeSuite) {
	here, there := s.journals()
	f := s.inField(t, "DESK1", 20)
	const keys = 8
	for n := range keys {
		f.write(t, n+1, "anna", token.Committed)
	}
	text := f.text(t)
	done := make([]int, 4)
	together(t, len(done), func(i int) (bool, error) {
		to := here
		if i%2 == 1 {
			to = there
		}
		_, err := journal.Import(t.Context(), to, f.transfer, bytes.NewReader(text), false, func(x journal.Imported) {
			if x.Outcome == journal.Done {
				done[i]++
			} else if x.Outcome != journal.Already {
				t.Errorf("%d: %s, %s", x.ID, x.Outcome, x.Why)
			}
		})
		return true, err
	})
	if sum := done[0] + done[1] + done[2] + done[3]; sum != keys {
		t.Errorf("%d of %d keys were counted: %v", sum, keys, done)
	}
	if list, err := s.here.Receipts(t.Context(), desk.ReceiptFilter{Station: "DESK1"}, 0); err != nil || len(list) != keys {
		t.Errorf("%d receipts, %v", len(list), err)
	}
}

func testJournalConflicts(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	f := s.inField(t, "DESK1", 20)
	for n := range 5 {
		f.write(t, n+1, "anna", token.Committed)
	}
	s.pass(time.Minute)
	taken := reservation(777)
	taken.PublicID = token.SerialPublicID(101)
	s.a.issue(t, taken, 30)                 // the public ID of 101
	s.a.issue(t, reservation(102), 31)      // the slot of 102, later
	s.a.issue(t, s.wanted(t, 3, "bert"), 3) // 103 is bert's here
	s.a.issue(t, reservation(104), 32)
	if _, err := s.here.Retire(t.Context(), "104", "crushed"); err != nil {
		t.Fatal(err)
	}
	same(t, "conflicts", f.imported(t, here, f.text(t), false), "conflict", "conflict", "conflict", "conflict", "done")
	same(t, "again", f.imported(t, here, f.text(t), false), "conflict", "conflict", "conflict", "conflict", "already")
	for query, n := range map[string]int{"777": 30, "102": 31, "103": 3} {
		rec, err := s.b.Record(t.Context(), s.credential(t, query).ID)
		if err != nil || !rec.Key.Equal(secretsOf(n).Key) {
			t.Errorf("%s was changed: %v", query, err)
		}
	}
	if _, err := s.here.Retire(t.Context(), "777", "crushed"); err != nil {
		t.Fatal(err)
	}
	same(t, "one was solved", f.imported(t, here, f.text(t), false), "done", "conflict", "conflict", "conflict", "already")
	s.is(t, "101", token.Active, "anna")
}

// testJournalGrant: what the station was not allowed is not taken, also if the station does not keep to its snapshot.
func testJournalGrant(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	f := s.inField(t, "DESK1", 2)
	forged := f.snapshot
	forged.Most = 99
	f.install(t, forged)
	for n := range 3 {
		f.write(t, n+1, "", token.Committed)
	}
	same(t, "too many", f.imported(t, here, f.text(t), false), "done", "done", "conflict")
	s.is(t, "102", token.Active, "")
	if _, err := s.here.Find(t.Context(), "103"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("the third key is here: %v", err)
	}
	forged.Grant = 2
	f.install(t, forged)
	f.write(t, 4, "", token.Committed)
	same(t, "no such snapshot", f.imported(t, here, f.text(t), false), "already", "already", "conflict", "conflict")
	f.grant(t, 5)
	s.pass(25 * time.Hour)
	late := f.snapshot
	late.Until = s.now().Add(time.Hour)
	f.install(t, late)
	f.write(t, 5, "", token.Committed)
	same(t, "too late", f.imported(t, here, f.text(t), false), "already", "already", "conflict", "done", "conflict")
	s.a.must(t, here.EndStation(t.Context(), "DESK1", "stolen"))
	if _, err := journal.Import(t.Context(), here, f.transfer, bytes.NewReader(f.text(t)), false, func(journal.Imported) {}); !errors.Is(err, journal.ErrEnded) {
		t.Errorf("of a station that was ended: %v", err)
	}
	if _, err := here.Grant(t.Context(), journal.Grant{Name: "DESK1", Public: bytes.Repeat([]byte{1}, 32), Most: 1, Until: s.now()}); !errors.Is(err, token.ErrConflict) {
		t.Errorf("the name with another key: %v", err)
	}
}

// testJournalBlocked: what was blocked while the station wrote it does not come in live.
func testJournalBlocked(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	s.onShelf(t, 1)
	f := s.inField(t, "DESK1", 5)
	st, err := journal.Open(f.dir, f.options())
	s.a.must(t, err)
	r := reservation(101)
	r.Slot, r.PublicID = 2, token.SerialPublicID(8101)
	e, err := st.Reserve(t.Context(), r)
	s.a.must(t, err)
	f.finish(t, st, 40, e.ID, token.Committed)
	s.a.must(t, st.Close())
	s.block(t, "101", desk.Block{Reason: token.ReasonStolen})
	same(t, "blocked", f.imported(t, here, f.text(t), false), "blocked")
	same(t, "again", f.imported(t, here, f.text(t), false), "already")
	s.is(t, "101", token.Lost, "")
	if c, err := s.b.Find(t.Context(), r.PublicID); err != nil || c.Row.Enabled {
		t.Errorf("it validates: %v", err)
	}
	if (ledgerSuite{s.b}).press(t, r.PublicID, 1, 9) {
		t.Error("an OTP of it was accepted")
	}
}

// testJournalOpen: a write that the station did not settle waits, or is taken over from a station that is gone.
func testJournalOpen(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	f := s.inField(t, "DESK1", 9)
	ids := map[int]token.EntryID{}
	for n, p := range []token.Phase{token.Reserved, token.Sealed, token.Writing, token.Written, token.Written} {
		ids[n+1] = f.write(t, n+1, "anna", p)
	}
	same(t, "open", f.imported(t, here, f.text(t), false), "open", "open", "open", "open", "open")
	same(t, "with open", f.imported(t, here, f.text(t), true), "open", "held", "held", "held", "held")
	same(t, "again", f.imported(t, here, f.text(t), true), "open", "held", "held", "held", "held")
	open, err := s.b.Open(t.Context())
	if err != nil || len(open) != 4 || open[0].Phase != token.Sealed || open[3].Phase != token.Written || !open[3].Credential.Secrets.Key.Equal(secretsOf(5).Key) || open[3].Holder.Account != "anna" {
		t.Fatalf("%+v, %v", open, err)
	}
	s.a.must(t, s.a.Commit(t.Context(), open[2].ID, counters(1, 0))) // resumed here, with the key
	s.a.must(t, s.a.Abort(t.Context(), open[1].ID, token.Writing, "the key refused it", nil))
	same(t, "two were settled here", f.imported(t, here, f.text(t), true), "open", "held", "already", "already", "held")
	st, err := journal.Open(f.dir, f.options())
	s.a.must(t, err)
	for _, n := range []int{3, 4, 5} {
		s.a.must(t, st.Mark(t.Context(), ids[n], token.Written))
		s.a.must(t, st.Commit(t.Context(), ids[n], counters(1, 7)))
	}
	s.a.must(t, st.Abort(t.Context(), ids[1], token.Reserved, "interrupted", nil))
	s.a.must(t, st.Close())
	same(t, "the station is back", f.imported(t, here, f.text(t), false), "given up", "open", "conflict", "already", "done")
	s.is(t, "105", token.Active, "anna")
	if s.valid(t, 5, 1, 7) || !s.valid(t, 5, 1, 8) {
		t.Error("the station's proof is not spent")
	}
	same(t, "again", f.imported(t, here, f.text(t), false), "already", "open", "conflict", "already", "already")
}

// testJournalFork: a station that was copied goes two ways; only the one that came first is taken.
func testJournalFork(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	f := s.inField(t, "DESK1", 9)
	f.write(t, 1, "anna", token.Committed)
	early := f.text(t)
	twin := &field{s: s, dir: t.TempDir(), line: f.line, signing: f.signing, transfer: f.transfer}
	s.a.must(t, os.CopyFS(twin.dir, os.DirFS(f.dir)))
	for _, name := range []string{"station.key", "signing.key", "journal.head"} {
		s.a.must(t, os.Chmod(filepath.Join(twin.dir, name), 0o600))
	}
	f.write(t, 2, "anna", token.Committed)
	twin.write(t, 3, "bert", token.Committed)
	twin.write(t, 4, "bert", token.Committed)
	same(t, "one way", f.imported(t, here, f.text(t), false), "done", "done")
	same(t, "an older copy", f.imported(t, here, early, false), "already")
	if _, err := journal.Import(t.Context(), here, f.transfer, bytes.NewReader(twin.text(t)), false, func(journal.Imported) {}); !errors.Is(err, journal.ErrFork) {
		t.Errorf("the other way: %v", err)
	}
	cut := twin.text(t)
	if whole, err := journal.Parse(cut, nil); err != nil || len(whole.Records) != 15 {
		t.Fatal(err)
	}
	bad := bytes.Clone(f.text(t))
	bad[len(bad)-100] ^= 1
	report, err := journal.Import(t.Context(), here, f.transfer, bytes.NewReader(bad), false, func(journal.Imported) {})
	if err != nil || report.Cause == nil || report.Rest == 0 || len(report.Lines) != 2 || report.Lines[1].Outcome == journal.Done {
		t.Errorf("garbled at the end: %+v, %v", report, err)
	}
	other := s.inField(t, "DESK2", 2)
	other.write(t, 8, "", token.Committed)
	for name, tc := range map[string]struct {
		text []byte
		key  seal.TransferKey
		want error
	}{
		"nothing":               {nil, f.transfer, journal.ErrDamaged},
		"a station of nowhere":  {rename(t, other.text(t), "DESK2", "DESK9"), f.transfer, journal.ErrDamaged},
		"another station's key": {rename(t, other.text(t), hex.EncodeToString([]byte{0}), "00"), other.transfer, nil},
	} {
		if _, err := journal.Import(t.Context(), here, tc.key, bytes.NewReader(tc.text), false, func(journal.Imported) {}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	third := s.inField(t, "DESK3", 2)
	third.write(t, 11, "", token.Committed)
	same(t, "sealed to another server", other.imported(t, here, third.text(t), false), "conflict")
}

func rename(t *testing.T, text []byte, from, to string) []byte {
	t.Helper()
	return bytes.Replace(text, []byte(from), []byte(to), 1)
}

func testSnapshot(t *testing.T, s *lifeSuite) {
	here, there := s.journals()
	s.a.issue(t, s.wanted(t, 1, "anna"), 1)
	s.onShelf(t, 2)
	if _, err := s.here.Group(t.Context(), "bert", []string{"staff"}, nil); err != nil {
		t.Fatal(err)
	}
	f := s.inField(t, "DESK1", 3)
	if len(f.snapshot.Persons) != 2 || len(f.snapshot.Tokens) != 2 || f.snapshot.Tokens[0].Holder != "anna" || f.snapshot.Tokens[1].State != token.InStock || len(f.snapshot.Tokens[0].Slots) != 1 ||
		f.snapshot.Grant != 1 || f.snapshot.Checkpoint < 3 {
		t.Errorf("%+v", f.snapshot)
	}
	name, public, err := journal.ParseLine(f.line)
	s.a.must(t, err)
	staff, err := there.Grant(t.Context(), journal.Grant{Name: name, Public: public, Transfer: f.transfer.Public(), Groups: []string{"staff"}, Most: 1, Until: s.now().Add(time.Hour)})
	if err != nil || staff.Grant != 2 || len(staff.Persons) != 1 || staff.Persons[0].Account != "bert" || staff.Tokens[0].Holder != journal.Elsewhere {
		t.Errorf("%+v, %v", staff, err)
	}
	text, err := staff.Sign(f.signing)
	s.a.must(t, err)
	for n := range 3 {
		if secrets := secretsOf(n); bytes.Contains(text, []byte(hex.EncodeToString(secrets.Key.Reveal()))) || strings.Contains(string(text), fmt.Sprintf("%x", secrets.AccessCode.Reveal())) {
			t.Error("a snapshot has a secret")
		}
	}
	if strings.Contains(string(text), "anna") {
		t.Error("a station of one group is told of others")
	}
	list, err := here.Stations(t.Context())
	if err != nil || len(list) != 1 || list[0].Grants != 2 || list[0].Most != 1 || !list[0].Active {
		t.Errorf("%+v, %v", list, err)
	}
}
