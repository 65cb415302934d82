package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

var _ provision.Ledger = (*Station)(nil)

// rig is a server's keys and a station with a snapshot of three persons.
type rig struct {
	t        testing.TB
	dir      string
	now      time.Time
	signing  seal.SigningKey
	transfer seal.TransferKey
	snapshot Snapshot
	step     func(string)
}

func begun() time.Time { return time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC) }

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, dir: filepath.Join(t.TempDir(), "station"), now: begun()}
	keys := t.TempDir()
	var err error
	if r.signing, err = seal.CreateSigningFile(filepath.Join(keys, "s"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if r.transfer, err = seal.CreateTransferFile(filepath.Join(keys, "t"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	line, err := Init(r.dir, "DESK1", r.options())
	if err != nil {
		t.Fatal(err)
	}
	name, public, err := ParseLine(line + "\n")
	if err != nil || name != "DESK1" {
		t.Fatalf("%q, %v", name, err)
	}
	r.snapshot = Snapshot{
		Store: strings.Repeat("ab", 16), Transfer: r.transfer.Public().String(), Station: name, Public: hex.EncodeToString(public), Grant: 1, Most: 5,
		Until: begun().Add(48 * time.Hour), Issued: begun(), Checkpoint: 17, Hash: strings.Repeat("0", 64),
		Persons: []Person{{1, "ada", "Ada Adler", nil}, {2, "bert", "Bert", []string{"staff"}}, {3, "zoe", "", nil}},
		Tokens: []Known{
			{ID: 11, Model: token.YubiKey, Serial: 900, State: token.Active, Holder: "bert", Slots: []KnownSlot{{1, token.YubicoOTP, token.SerialPublicID(900)}}},
			{ID: 12, Model: token.YubiKey, Serial: 901, State: token.Lost, Holder: "zoe"},
			{ID: 13, Model: token.App, Label: "A1", State: token.Active, Holder: "bert"},
			{ID: 14, Model: token.YubiKey, Serial: 902, State: token.Active, Holder: Elsewhere},
		},
		Profiles: []Profile{{"staff", 1, "name staff\n"}},
	}
	r.install()
	return r
}

func (r *rig) options() Options {
	return Options{Now: func() time.Time { return r.now }, Rand: rand.Reader, Operator: "olga", step: r.step}
}

func (r *rig) install() {
	r.t.Helper()
	text, err := r.snapshot.Sign(r.signing)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := Install(r.dir, text); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) open() *Station {
	r.t.Helper()
	s, err := Open(r.dir, r.options())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (r *rig) path() string { return filepath.Join(r.dir, journalFile) }

func (r *rig) text() []byte {
	r.t.Helper()
	b, err := os.ReadFile(r.path())
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func wish(serial token.Serial, holder token.PersonID) token.Reservation {
	r := token.Reservation{Serial: serial, Firmware: "5.4.3", Slot: 2, Kind: token.YubicoOTP, PublicID: token.SerialPublicID(serial), Proof: token.ByTouch, Holder: holder}
	if holder != 0 {
		r.Handover.IDCheck = token.ByPassport
	}
	return r
}

// secretsOf are those of the n-th key.
func secretsOf(n int) token.Secrets {
	return token.Secrets{Key: secret.Copy(bytes.Repeat([]byte{byte(n), 0xA5}, 8)), PrivateID: secret.Copy(bytes.Repeat([]byte{byte(n), 0x5A}, 3)), AccessCode: secret.Copy(bytes.Repeat([]byte{byte(n)}, 6))}
}

// issue writes a whole key, up to a phase.
func issue(t testing.TB, s *Station, n int, r token.Reservation, until token.Phase) token.EntryID {
	t.Helper()
	ctx := context.Background()
	e, err := s.Reserve(ctx, r)
	for _, step := range []struct {
		before token.Phase
		do     func() error
	}{
		{token.Reserved, func() error { return s.Seal(ctx, e.ID, secretsOf(n)) }},
		{token.Sealed, func() error { return s.Mark(ctx, e.ID, token.Writing) }},
		{token.Writing, func() error { return s.Mark(ctx, e.ID, token.Written) }},
		{token.Written, func() error { return s.Commit(ctx, e.ID, proofAt(n)) }},
	} {
		if err != nil || step.before == until {
			break
		}
		err = step.do()
	}
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func proofAt(n int) *token.Counters {
	return &token.Counters{Use: 1, Session: n, Timestamp: 100 * n, Moving: -1, At: begun()}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	r.now = r.now.Add(time.Minute)
	id := issue(t, s, 1, wish(501, 1), "")
	receipt, err := s.ReceiptOf(t.Context(), token.ID(id))
	if err != nil || receipt.Ref() != "R-DESK1-1" || receipt.Account != "ada" || receipt.IDCheck != token.ByPassport || !receipt.Pending || receipt.Checkpoint != 17 || receipt.Operator != "olga" {
		t.Errorf("%+v, %v", receipt, err)
	}
	if keys, until := s.Left(); keys != 4 || !until.Equal(r.snapshot.Until) {
		t.Errorf("%d keys until %v are left", keys, until)
	}
	if left := r.escrowed(); left != 0 {
		t.Errorf("%d secrets are left", left)
	}
	if open, err := s.Open(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%d open, %v", len(open), err)
	}
	f, err := Parse(r.text(), nil)
	if err != nil || f.Cause != nil {
		t.Fatal(err, f.Cause)
	}
	all, err := f.Entries()
	if err != nil || len(all) != 1 || all[0].Phase != token.Committed || all[0].Proof.Session != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	got, err := f.Open(r.transfer, all[0])
	want := secretsOf(1)
	if err != nil || !got.Key.Equal(want.Key) || !got.PrivateID.Equal(want.PrivateID) || !got.AccessCode.Equal(want.AccessCode) {
		t.Errorf("the server opens something else: %v", err)
	}
	moved := all[0]
	moved.Plan.Serial++
	if _, err := f.Open(r.transfer, moved); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("the secrets of another key open: %v", err)
	}
	k, live, err := s.Slots(t.Context(), 501)
	if err != nil || k.Holder.Account != "ada" || len(live) != 1 || live[0].Slot != 2 || live[0].Secrets.Key.Len() != 0 {
		t.Errorf("%+v, %+v, %v", k, live, err)
	}
	if _, held, err := s.Person(t.Context(), "ada"); err != nil || len(held) != 1 || held[0].Serial != 501 {
		t.Errorf("%+v, %v", held, err)
	}
}

// escrowed are the files with secrets that the station can open.
func (r *rig) escrowed() int {
	r.t.Helper()
	list, err := os.ReadDir(filepath.Join(r.dir, openDir))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(list)
}

// TestNothingPlain: neither the secrets nor their sealed copies outlive the write.
func TestNothingPlain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	issue(t, s, 7, wish(501, 1), token.Written)
	if r.escrowed() != 1 {
		t.Error("an open write has no copy of its secrets")
	}
	secrets := secretsOf(7)
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, st.Mode(), err)
		}
		text, err := os.ReadFile(path)
		for _, s := range []secret.Bytes{secrets.Key, secrets.PrivateID, secrets.AccessCode} {
			if bytes.Contains(text, s.Reveal()) || bytes.Contains(text, []byte(hex.EncodeToString(s.Reveal()))) {
				t.Errorf("%s has a secret in the clear", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	var state *token.TransitionError
	issue(t, s, 1, wish(501, 1), "")
	issue(t, s, 2, wish(502, 2), token.Writing)
	ours := wish(900, 2)
	ours.Slot = 1
	replace := func(serial token.Serial, holder token.PersonID, old token.ID) token.Reservation {
		w := wish(serial, holder)
		w.Handover.Replace = old
		return w
	}
	nameless := wish(520, 0)
	nameless.Handover.IDCheck = token.ByPassport
	twice := wish(521, 0)
	twice.PublicID = token.SerialPublicID(501)
	for name, tc := range map[string]struct {
		r    token.Reservation
		want error
	}{
		"written here":            {wish(501, 1), ErrNeedsServer},
		"open":                    {wish(502, 2), token.ErrUnsettled},
		"of the server":           {ours, ErrNeedsServer},
		"held":                    {wish(900, 1), ErrHeld},
		"held by a stranger":      {wish(902, 1), ErrHeld},
		"nobody":                  {wish(510, 99), token.ErrNotFound},
		"public ID":               {twice, token.ErrDuplicate},
		"replaces another's":      {replace(511, 1, 13), token.ErrConflict},
		"replaces nothing":        {replace(511, 1, 77), token.ErrConflict},
		"checked, but of nobody":  {nameless, token.ErrConflict},
		"held by somebody's slot": {wish(501, 2), ErrNeedsServer},
	} {
		if _, err := s.Reserve(t.Context(), tc.r); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if _, err := s.Reserve(t.Context(), wish(901, 3)); !errors.As(err, &state) {
		t.Errorf("blocked: %v", err)
	}
	other := wish(501, 2)
	other.Slot = 1
	if _, err := s.Reserve(t.Context(), other); !errors.Is(err, ErrHeld) {
		t.Errorf("the other slot of somebody's key: %v", err)
	}
	for i := range 3 {
		issue(t, s, 3+i, wish(token.Serial(600+i), 0), "")
	}
	if _, err := s.Reserve(t.Context(), wish(610, 1)); !errors.Is(err, ErrMost) {
		t.Errorf("one too many: %v", err)
	}
	if err := s.Abort(t.Context(), 2, token.Writing, "given up", nil); err != nil {
		t.Fatal(err)
	}
	issue(t, s, 9, wish(502, 2), "") // an aborted write does not count
	r.now = r.snapshot.Until
	if _, err := s.Reserve(t.Context(), wish(610, 1)); !errors.Is(err, ErrOver) {
		t.Errorf("after the end: %v", err)
	}
}

// TestLedgerRules: the phases are those of the store's ledger.
func TestLedgerRules(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	ctx := t.Context()
	id := issue(t, s, 1, wish(501, 1), token.Sealed)
	for name, err := range map[string]error{
		"seal twice":             s.Seal(ctx, id, secretsOf(2)),
		"commit what is not out": s.Commit(ctx, id, proofAt(1)),
		"commit without proof":   s.Commit(ctx, id, nil),
		"abort from elsewhere":   s.Abort(ctx, id, token.Written, "", nil),
		"mark reserved":          s.Mark(ctx, id, token.Reserved),
		"no such write":          s.Mark(ctx, 9, token.Writing),
	} {
		if !errors.Is(err, token.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, p := range []token.Phase{token.Writing, token.Writing, token.Written, token.Writing, token.Written} {
		if err := s.Mark(ctx, id, p); err != nil {
			t.Fatal(err)
		}
	}
	if open, err := s.Open(ctx); err != nil || len(open) != 1 || open[0].Phase != token.Written || !open[0].Credential.Secrets.Key.Equal(secretsOf(1).Key) || open[0].Holder.Account != "ada" {
		t.Errorf("%+v, %v", open, err)
	}
	if err := s.Commit(ctx, id, nil); !errors.Is(err, token.ErrConflict) {
		t.Errorf("a touch was wanted: %v", err)
	}
	if err := s.Commit(ctx, id, proofAt(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, id, proofAt(1)); !errors.Is(err, token.ErrConflict) {
		t.Errorf("commit twice: %v", err)
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	r, other := newRig(t), newRig(t)
	sign := func(s Snapshot, k seal.SigningKey) []byte {
		text, err := s.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := sign(r.snapshot, r.signing)
	changed := bytes.Replace(good, []byte(`"most": 5`), []byte(`"most": 9`), 1)
	elsewhere := r.snapshot
	elsewhere.Public = other.snapshot.Public
	for name, tc := range map[string]struct {
		text []byte
		want error
	}{
		"changed":          {changed, ErrSignature},
		"another server":   {sign(r.snapshot, other.signing), ErrOther},
		"another station":  {sign(elsewhere, r.signing), ErrOther},
		"without an end":   {good[:len(good)/2], ErrDamaged},
		"more at the end":  {append(bytes.Clone(good), "x"...), ErrSignature},
		"nothing":          {nil, ErrDamaged},
		"no signature":     {[]byte("{}\nsignature \n"), ErrDamaged},
		"a field too many": {sign2(t, r, `{"schema":1,"station":"X","more":1}`), ErrDamaged},
	} {
		if _, err := Install(r.dir, tc.text); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	r.snapshot.Grant = 3
	r.install()
	if _, err := Install(r.dir, good); !errors.Is(err, ErrOlder) {
		t.Errorf("older: %v", err)
	}
	if _, err := Init(r.dir, "DESK1", r.options()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	s := r.open()
	if _, err := Open(r.dir, r.options()); !errors.Is(err, ErrBusy) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := CheckName("a-b"); err == nil {
		t.Error("a name with - would make numbers of receipts ambiguous")
	}
}

func sign2(t *testing.T, r *rig, body string) []byte {
	t.Helper()
	signature := r.signing.Sign(append([]byte(snapshotDomain), body...))
	return []byte(body + signatureLine + hex.EncodeToString(signature) + "\n")
}

// TestBroken: after a write that failed, and that could not be taken back, nothing is taken any more.
func TestBroken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	id := issue(t, s, 1, wish(501, 1), token.Written)
	if err := s.journal.Close(); err != nil {
		t.Fatal(err)
	}
	before := r.text()
	if err := s.Commit(t.Context(), id, proofAt(1)); !errors.Is(err, ErrBroken) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if _, err := s.Reserve(t.Context(), wish(502, 1)); !errors.Is(err, ErrBroken) {
			t.Errorf("%v", err)
		}
	}
	if !bytes.Equal(r.text(), before) || r.escrowed() != 1 {
		t.Error("something was changed")
	}
	s = r.open()
	if err := s.Commit(t.Context(), id, proofAt(1)); err != nil {
		t.Error(err)
	}
}

// BenchmarkIssue is what a station adds to the writing of a key: five records, and the copy of the secrets that comes and goes.
func BenchmarkIssue(b *testing.B) {
	r := newRig(b)
	r.snapshot.Most = 1 << 30
	r.install()
	s := r.open()
	n := 0
	for b.Loop() {
		n++
		issue(b, s, n, wish(token.Serial(10000+n), 1), "")
	}
}
