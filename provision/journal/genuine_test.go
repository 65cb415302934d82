package journal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// answer is what a key says that proves nothing, as the package does not look into it when it is written down.
func answer(serial token.Serial) token.Attestation {
	return token.Attestation{Serial: serial, Root: "x", Chain: [][]byte{{byte(serial)}, []byte("above")}}
}

// TestAnswers: what keys said is told again in its order, and is no write.
func TestAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	ctx := t.Context()
	issue(t, s, 1, wish(501, 1), token.Writing)
	long := strings.Repeat("x", token.MaxRefused-1) + "\xc3"
	for _, a := range []token.Attestation{answer(7), {Serial: 8, Refused: long}, {Serial: 7, Refused: "copied"}} {
		if err := s.KeepAttestation(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	for name, a := range map[string]token.Attestation{
		"no serial": {Refused: "copied"}, "nothing": {Serial: 9}, "both": {Serial: 9, Refused: "copied", Chain: [][]byte{{1}}},
		"long reason": {Serial: 9, Refused: long + "xx"}, "long chain": {Serial: 9, Chain: [][]byte{make([]byte, token.MaxChain+1)}},
	} {
		if err := s.KeepAttestation(ctx, a); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
	if err := s.Commit(ctx, 1, proofAt(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = r.open()
	if last := s.entries.answers; len(last) != 2 || last[7].Refused != "copied" || last[8].Refused != long[:token.MaxRefused-1] {
		t.Errorf("%+v", last)
	}
	f, err := Parse(r.text(), nil)
	if err != nil || f.Cause != nil {
		t.Fatal(err, f.Cause)
	}
	claims := f.Claims()
	if all, err := f.Entries(); err != nil || len(all) != 1 || len(claims) != 3 || claims[0].Serial != 7 || len(claims[0].Chain) != 2 || claims[0].Operator != "olga" ||
		!claims[0].At.Equal(r.now) || claims[2].Refused == "" {
		t.Errorf("%+v, %v, %+v", all, err, claims)
	}
}

// TestTornAnswer: an answer whose end is missing was never given; one that was durable does not vanish.
func TestTornAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.open()
	if err := s.KeepAttestation(t.Context(), answer(7)); err != nil {
		t.Fatal(err)
	}
	before := r.text()
	heads, err := os.ReadFile(filepath.Join(r.dir, headFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.KeepAttestation(t.Context(), token.Attestation{Serial: 7, Refused: "copied"}); err != nil {
		t.Fatal(err)
	}
	whole := r.text()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for n := len(before); n < len(whole); n += 17 {
		for name, text := range map[string][]byte{"cut": whole[:n], "garbled": append(bytes.Clone(whole[:n]), flip(whole[n:])...)} {
			put(t, r.path(), text)
			put(t, filepath.Join(r.dir, headFile), heads)
			s, err := Open(r.dir, r.options())
			if err != nil {
				t.Fatalf("%s at %d: %v", name, n, err)
			}
			if last := s.entries.answers[7]; last.Refused != "" || len(last.Chain) != 2 || !bytes.Equal(r.text(), before) {
				t.Fatalf("%s at %d: %+v", name, n, last)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(t, r.path(), join(split(before)[:1]))
	if _, err := Open(r.dir, r.options()); !errors.Is(err, ErrDamaged) {
		t.Errorf("an answer is missing: %v", err)
	}
}

// TestHostileAnswers: what no station signs is refused as a whole.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	good := Record{Event: Attest, Attested: &Attested{Serial: 7, Refused: "copied"}}
	for name, change := range map[string]func(*Record){
		"of a write":   func(r *Record) { r.Entry = 1 },
		"no answer":    func(r *Record) { r.Attested = nil },
		"no key":       func(r *Record) { r.Attested.Serial = 0 },
		"says nothing": func(r *Record) { r.Attested.Refused = "" },
		"says both":    func(r *Record) { r.Attested.Chain = [][]byte{{1}} },
		"too long":     func(r *Record) { r.Attested.Refused = strings.Repeat("x", token.MaxRefused+1) },
		"empty chain":  func(r *Record) { *r.Attested = Attested{Serial: 7, Chain: [][]byte{{}, {}}} },
	} {
		bad, said := good, *good.Attested
		bad.Attested = &said
		change(&bad)
		if err := (&entries{}).add(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if err := (&entries{}).add(good); err != nil {
			t.Errorf("%s: the rest is not good: %v", name, err)
		}
	}
}

// TestVersions: what another version wrote is told by that, and a snapshot that could not tell of genuine keys allows nothing.
func TestVersions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	newer := sign2(t, r, `{"schema":3,"station":"DESK1","what":"new"}`)
	if _, err := Install(r.dir, newer); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "3") {
		t.Errorf("a newer snapshot: %v", err)
	}
	for _, text := range []string{`{"schema":0,"station":"DESK1"}`, `{"station":"DESK1"}`, `{"schema":"2","station":"DESK1"}`} {
		if _, err := ParseSnapshot(sign2(t, r, text), nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", text, err)
		}
	}
	r.snapshot.Signer, r.snapshot.Schema = hex.EncodeToString(r.signing.Public()), 1
	body, err := json.MarshalIndent(r.snapshot, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	older := sign2(t, r, string(body))
	if _, err := Install(r.dir, older); !errors.Is(err, ErrVersion) {
		t.Errorf("an older snapshot is installed: %v", err)
	}
	s := r.open()
	id := issue(t, s, 1, wish(501, 1), token.Written)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(r.dir, snapshotFile), older) // by the version of then
	s = r.open()
	if err := s.Commit(t.Context(), id, proofAt(1)); err != nil {
		t.Errorf("what is open is not finished: %v", err)
	}
	if _, err := s.Reserve(t.Context(), wish(502, 1)); !errors.Is(err, ErrVersion) {
		t.Errorf("an older snapshot allows a write: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.snapshot.Grant++
	r.install()

	r.snapshot.Grant++
	r.snapshot.Genuine = &Genuine{Roots: "none"}
	text, err := r.snapshot.Sign(r.signing)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Install(r.dir, text); !errors.Is(err, ErrDamaged) {
		t.Errorf("without roots: %v", err)
	}
	for schema, want := range map[int]error{0: ErrDamaged, 1: nil, 2: nil, 3: ErrVersion} {
		if _, err := Parse(headed(t, r, schema), nil); !errors.Is(err, want) {
			t.Errorf("a journal of schema %d: %v", schema, err)
		}
	}
}

// headed is an empty journal of a schema.
func headed(t *testing.T, r *rig, schema int) []byte {
	t.Helper()
	k, err := seal.LoadSigningFile(filepath.Join(r.dir, signingKey))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(Header{Schema: schema, Series: strings.Repeat("00", seriesLen), Station: "DESK1", Public: hex.EncodeToString(k.Public())})
	if err != nil {
		t.Fatal(err)
	}
	return frame([]byte(magic), payload, k.Sign(signed(chain([32]byte{}, payload))))
}

// FuzzAnswer: whatever a station signs, what is taken of it is an answer of one key, and no write comes of it.
func FuzzAnswer(f *testing.F) {
	for _, r := range []Record{
		{Seq: 1, Event: Attest, Attested: &Attested{Serial: 7, Refused: "copied"}}, {Seq: 1, Event: Attest, Attested: &Attested{Serial: 7, Chain: [][]byte{{1}, {2}}}},
		{Seq: 1, Event: Attest, Entry: 1}, {Seq: 1, Event: Reserve, Entry: 1, Plan: &Plan{Serial: 7}},
	} {
		text, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		file := File{Public: private.Public().(ed25519.PublicKey)}
		if err := file.record(payload, ed25519.Sign(private, signed(chain(file.Hash, payload)))); err != nil {
			if len(file.Records) > 0 {
				t.Error("a record beside an error")
			}
			return
		}
		all, err := file.Entries()
		claims := file.Claims()
		if err == nil && len(all)+len(claims) != 1 {
			t.Errorf("one record is %d writes and %d answers", len(all), len(claims))
		}
		if err == nil && slices.ContainsFunc(claims, func(c Claim) bool { return !c.valid() }) {
			t.Errorf("%+v", claims)
		}
	})
}
