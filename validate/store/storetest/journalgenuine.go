package storetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"iter"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// maker makes keys: a root, and a certificate below it that signs attestations.
type maker struct {
	root, above *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newMaker(t *testing.T) maker {
	t.Helper()
	rootKey, root := certified(t, "Root", nil, nil)
	key, above := certified(t, "Yubico PIV Attestation", root, rootKey)
	return maker{root, above, key}
}

// certified makes a key and its certificate, signed by another or by itself.
func certified(t *testing.T, name string, above *x509.Certificate, by *ecdsa.PrivateKey, said ...pkix.Extension) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: at(0).AddDate(-1, 0, 0), NotAfter: at(0).AddDate(9, 0, 0),
		IsCA: said == nil, BasicConstraintsValid: true, ExtraExtensions: said}
	if above == nil {
		above, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, above, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return key, c
}

func (m maker) roots() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.root.Raw})
}

// proof is what a key of firmware 5.4.3 proves by a key of that touch policy in slot 95.
func (m maker) proof(t *testing.T, serial token.Serial, touch byte) token.Attestation {
	t.Helper()
	number, err := asn1.Marshal(int64(serial))
	if err != nil {
		t.Fatal(err)
	}
	says := func(n int, value ...byte) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, n}, Value: value} // reference yubikey-otp.md §8
	}
	_, leaf := certified(t, "YubiKey PIV Attestation 95", m.above, m.key, says(3, 5, 4, 3), says(7, number...), says(8, 1, touch), says(9, 1))
	return token.Attestation{Serial: serial, Firmware: "5.4.3", FormFactor: "keychain (USB-A)", Root: fingerprint(m.root.Raw), Chain: [][]byte{leaf.Raw, m.above.Raw}}
}

const noTouch = 1 // the policy

// says puts an answer into the journal of a station.
func (f *field) says(t *testing.T, list ...token.Attestation) {
	t.Helper()
	st, err := journal.Open(f.dir, f.options())
	f.s.a.must(t, err)
	for _, a := range list {
		f.s.a.must(t, st.KeepAttestation(t.Context(), a))
	}
	f.s.a.must(t, st.Close())
}

// claimed is what an import says of each answer.
func (f *field) claimed(t *testing.T, to Journals) (out []string) {
	t.Helper()
	report, err := journal.Import(t.Context(), to, f.transfer, bytes.NewReader(f.text(t)), false, func(journal.Imported) {})
	f.s.a.must(t, err)
	for _, c := range report.Claims {
		out = append(out, string(c.Outcome))
		if (c.Outcome == journal.Conflict) != (c.Why != "") {
			t.Errorf("key %v: %s, %q", c.Serial, c.Outcome, c.Why)
		}
	}
	return out
}

// attested are the events that a station's answers made.
func attested(t *testing.T, s Attestations) (objects []string) {
	t.Helper()
	err := s.Audit(t.Context(), func(events iter.Seq2[audit.Event, error], _ []audit.Head) error {
		for e, err := range events {
			if err != nil {
				return err
			}
			if e.Action == "journal.attest" {
				objects = append(objects, e.Object)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return objects
}

// testJournalGenuine: what a station proved is known afterwards, as proven by it.
func testJournalGenuine(t *testing.T, s *lifeSuite) {
	here, there := s.journals()
	store := here.(Attestations)
	m := newMaker(t)
	s.a.must(t, store.SetAttestationRule(t.Context(), token.AttestationRule{Required: true, Roots: m.roots()}))
	s.a.must(t, store.KeepAttestation(t.Context(), m.proof(t, 101, noTouch)))
	s.a.must(t, store.KeepAttestation(t.Context(), newMaker(t).proof(t, 103, noTouch))) // by a root that is not trusted now
	s.a.must(t, store.KeepAttestation(t.Context(), token.Attestation{Serial: 104, Refused: "copied"}))
	f := s.inField(t, "DESK1", 9)
	if g := f.snapshot.Genuine; g == nil || g.Roots != string(m.roots()) || !slices.Equal(g.Proven, []token.Serial{101}) {
		t.Errorf("%+v", g)
	}
	f.write(t, 1, "anna", token.Committed)
	st, err := journal.Open(f.dir, f.options())
	s.a.must(t, err)
	for _, serial := range []token.Serial{102, 103, 104} {
		if _, err := st.Reserve(t.Context(), reservation(serial)); !errors.Is(err, journal.ErrNotProven) {
			t.Errorf("%v: %v", serial, err)
		}
	}
	s.a.must(t, st.Close())
	s.pass(time.Minute)
	proved := s.now()
	f.says(t, m.proof(t, 102, noTouch), token.Attestation{Serial: 105, Refused: "copied"})
	s.pass(time.Minute)
	f.write(t, 2, "bert", token.Committed)
	same(t, "answers", f.claimed(t, here), "done", "done")
	same(t, "writes", f.imported(t, there, f.text(t), false), "already", "already")
	same(t, "answers again", f.claimed(t, there), "already", "already")
	s.is(t, "102", token.Active, "bert")
	if a, err := store.Attestation(t.Context(), 102); err != nil || !a.Genuine() || a.Operator != "olga at DESK1" || !a.At.Equal(proved) || a.Root != fingerprint(m.root.Raw) ||
		a.Firmware != "5.4.3" || a.FormFactor == "" || len(a.Chain) != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := store.Attestation(t.Context(), 105); err != nil || a.Genuine() || a.Refused != "copied" {
		t.Errorf("%+v, %v", a, err)
	}
	same(t, "events", attested(t, store), "serial 102", "serial 105")
	f.grant(t, 9)
	if !slices.Equal(f.snapshot.Genuine.Proven, []token.Serial{101, 102}) {
		t.Errorf("the next snapshot has %v", f.snapshot.Genuine.Proven)
	}
}

// testJournalProven: a station holds each key against the roots of its snapshot, by its last answer.
func testJournalProven(t *testing.T, s *lifeSuite) {
	store := s.a.Full.(Attestations)
	m := newMaker(t)
	s.a.must(t, store.SetAttestationRule(t.Context(), token.AttestationRule{Required: true, Roots: m.roots()}))
	f := s.inField(t, "DESK1", 9)
	moved := m.proof(t, 999, noTouch)
	moved.Serial = 102
	f.says(t, m.proof(t, 101, noTouch), moved, m.proof(t, 103, 2), newMaker(t).proof(t, 104, noTouch), m.proof(t, 105, noTouch), token.Attestation{Serial: 105, Refused: "copied"})
	proven := func(when string, want ...token.Serial) {
		t.Helper()
		st, err := journal.Open(f.dir, f.options())
		s.a.must(t, err)
		var got []token.Serial
		for n := token.Serial(101); n <= 106; n++ {
			yes, err := st.Proven(t.Context(), n)
			s.a.must(t, err)
			_, err = st.Reserve(t.Context(), reservation(n))
			if (err == nil) != yes || err != nil && !errors.Is(err, journal.ErrNotProven) {
				t.Errorf("%s: %v is proven: %v, and %v", when, n, yes, err)
			}
			if yes {
				got = append(got, n)
				s.a.must(t, st.Abort(t.Context(), openOf(t, st), token.Reserved, "", nil))
			}
		}
		s.a.must(t, st.Close())
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v are proven, want %v", when, got, want)
		}
	}
	proven("by its own record", 101)
	other := newMaker(t)
	s.a.must(t, store.SetAttestationRule(t.Context(), token.AttestationRule{Required: true, Roots: other.roots()}))
	s.a.must(t, store.KeepAttestation(t.Context(), other.proof(t, 106, noTouch)))
	f.grant(t, 9)
	proven("by other roots", 106)
}

// openOf is the one write that a station has open.
func openOf(t *testing.T, st *journal.Station) token.EntryID {
	t.Helper()
	open, err := st.Open(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("%d open, %v", len(open), err)
	}
	return open[0].ID
}

// testJournalUnproven: a station that does not keep to the rule, or lies about keys, makes no live credential.
func testJournalUnproven(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	store := here.(Attestations)
	m := newMaker(t)
	rule := func(required bool) {
		s.a.must(t, store.SetAttestationRule(t.Context(), token.AttestationRule{Required: required, Roots: m.roots()}))
	}
	rule(true)
	s.a.must(t, store.KeepAttestation(t.Context(), m.proof(t, 106, noTouch)))
	s.a.must(t, store.KeepAttestation(t.Context(), newMaker(t).proof(t, 104, noTouch))) // by a root that is not trusted now
	s.pass(time.Minute)
	f := s.inField(t, "DESK1", 20)
	forged := f.snapshot
	forged.Genuine = nil
	f.install(t, forged)
	moved, touched := m.proof(t, 999, noTouch), m.proof(t, 103, 2)
	moved.Serial = 102
	f.says(t, moved, touched, newMaker(t).proof(t, 104, noTouch), token.Attestation{Serial: 105, Chain: [][]byte{[]byte("x"), []byte("y")}}, token.Attestation{Serial: 106, Refused: "copied"})
	for n := range 6 {
		f.write(t, n+1, "anna", token.Committed)
	}
	same(t, "lies", f.claimed(t, here), "conflict", "conflict", "conflict", "conflict", "already")
	want := []string{"conflict", "conflict", "conflict", "conflict", "conflict", "already"} // 106 was done with the lies
	same(t, "writes", f.imported(t, here, f.text(t), true), want...)
	for _, serial := range []string{"101", "102", "103", "104", "105"} {
		if _, err := s.here.Find(t.Context(), serial); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("key %s is here: %v", serial, err)
		}
	}
	if a, err := store.Attestation(t.Context(), 106); err != nil || !a.Genuine() {
		t.Errorf("a doubt displaced a proof: %+v, %v", a, err)
	}
	same(t, "events", attested(t, store))

	s.a.must(t, store.KeepAttestation(t.Context(), m.proof(t, 101, noTouch)))
	want[0] = "done"
	same(t, "one was proven here", f.imported(t, here, f.text(t), false), want...)
	want[0] = "already"
	rule(false)
	same(t, "the snapshot wanted it", f.imported(t, here, f.text(t), false), want...)
	s.a.must(t, store.KeepAttestation(t.Context(), m.proof(t, 102, noTouch)))
	same(t, "what was solved here", f.claimed(t, here), "already", "conflict", "conflict", "conflict", "already")

	early := s.inField(t, "DESK2", 9) // is told nothing
	if early.snapshot.Genuine != nil {
		t.Error("nothing is required")
	}
	held := early.write(t, 11, "anna", token.Written)
	same(t, "unfinished", early.imported(t, here, early.text(t), true), "held")
	early.write(t, 12, "anna", token.Committed)
	st, err := journal.Open(early.dir, early.options())
	s.a.must(t, err)
	s.a.must(t, st.Commit(t.Context(), held, counters(1, 3)))
	s.a.must(t, st.Close())
	rule(true)
	same(t, "the site wants it", early.imported(t, here, early.text(t), false), "conflict", "conflict")
	rule(false)
	same(t, "it does not", early.imported(t, here, early.text(t), false), "done", "done")
}

// testJournalOther: a write that was taken unfinished is not settled by another one that a forged journal puts in its place.
func testJournalOther(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	store := here.(Attestations)
	m := newMaker(t)
	f := s.inField(t, "DESK1", 9)
	twin := &field{s: s, dir: t.TempDir(), line: f.line, signing: f.signing, transfer: f.transfer}
	s.a.must(t, os.CopyFS(twin.dir, os.DirFS(f.dir)))
	for _, name := range []string{"station.key", "signing.key", "journal.head"} {
		s.a.must(t, os.Chmod(filepath.Join(twin.dir, name), 0o600))
	}
	f.write(t, 1, "anna", token.Written)
	f.says(t, token.Attestation{Serial: 105, Refused: "copied"}, token.Attestation{Serial: 106, Refused: "copied"})
	same(t, "unfinished", f.imported(t, here, f.text(t), true), "held")
	s.a.must(t, store.SetAttestationRule(t.Context(), token.AttestationRule{Required: true, Roots: m.roots()}))
	s.a.must(t, store.KeepAttestation(t.Context(), m.proof(t, 102, noTouch)))
	twin.write(t, 2, "anna", token.Committed) // proven, and shorter than what was seen
	same(t, "another key", twin.imported(t, here, twin.text(t), false), "conflict")
	open, err := s.a.Open(t.Context())
	s.a.must(t, err)
	if len(open) != 1 || open[0].Serial != 101 {
		t.Errorf("%d are open", len(open))
	}
	for _, e := range open {
		e.Credential.Secrets.Destroy()
	}
}

// testJournalAhead: the clock of a station is ahead, and what it says of a key changes; the same journal again changes nothing.
func testJournalAhead(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	m := newMaker(t)
	s.a.must(t, here.(Attestations).SetAttestationRule(t.Context(), token.AttestationRule{Required: true, Roots: m.roots()}))
	f := s.inField(t, "DESK1", 9)
	o := f.options()
	o.Now = func() time.Time { return s.now().Add(time.Hour) }
	st, err := journal.Open(f.dir, o)
	s.a.must(t, err)
	for _, a := range []token.Attestation{
		{Serial: 101, Refused: "no answer"}, {Serial: 101, Refused: "copied"}, // the last word
		{Serial: 102, Refused: "no answer"}, m.proof(t, 102, noTouch), m.proof(t, 102, noTouch),
	} {
		s.a.must(t, st.KeepAttestation(t.Context(), a))
	}
	s.a.must(t, st.Close())
	s.pass(time.Minute)
	same(t, "answers", f.claimed(t, here), "done", "done", "done")
	events := attested(t, here.(Attestations))
	s.pass(time.Minute)
	same(t, "answers again", f.claimed(t, here), "already", "already", "already")
	same(t, "events", attested(t, here.(Attestations)), events...)
}

// testJournalUnsound: what no table takes is a conflict of its write, and keeps no other one out.
func testJournalUnsound(t *testing.T, s *lifeSuite) {
	here, _ := s.journals()
	f := s.inField(t, "DESK1", 9)
	forged := f.snapshot
	forged.Tokens = append(forged.Tokens, journal.Known{ID: 999, Model: token.YubiKey, State: token.Active, Holder: "anna"})
	f.install(t, forged)
	st, err := journal.Open(f.dir, f.options())
	s.a.must(t, err)
	anna, _, err := st.Person(t.Context(), "anna")
	s.a.must(t, err)
	lies := []func(*token.Reservation){
		func(r *token.Reservation) { r.Proof = "sworn" },
		func(r *token.Reservation) { r.Settings.FirstMoving = 1 << 32 },
		func(r *token.Reservation) { r.Settings.FirstMoving = -1 },
		func(r *token.Reservation) { r.Settings.Account = "elsewhere" },
		func(r *token.Reservation) { r.Settings.Shared = true },
		func(r *token.Reservation) {
			r.Holder, r.Handover = anna.ID, token.Handover{IDCheck: token.ByPassport, Replace: 999}
		},
	}
	for n, lie := range lies {
		r := reservation(token.Serial(101 + n))
		lie(&r)
		e, err := st.Reserve(t.Context(), r)
		s.a.must(t, err)
		f.finish(t, st, n+1, e.ID, token.Committed)
	}
	s.a.must(t, st.Close())
	f.write(t, 9, "bert", token.Committed)
	same(t, "lies", f.imported(t, here, f.text(t), false), append(slices.Repeat([]string{"conflict"}, len(lies)), "done")...)
}
