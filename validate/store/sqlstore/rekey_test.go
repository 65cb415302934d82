package sqlstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// keyed is a store whose sealing key is in a file.
type keyed struct {
	where, file string
	signing     seal.SigningKey
}

func (k keyed) load() (seal.Key, error) { return seal.LoadFile(k.file) }

func (k keyed) open(t testing.TB) *Store {
	t.Helper()
	s, err := k.tryOpen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func (k keyed) tryOpen(ctx context.Context) (*Store, error) {
	key, err := k.load()
	if err != nil {
		return nil, err
	}
	o := options()
	o.Reload = k.load
	return Open(ctx, k.where, Keys{key, k.signing}, o)
}

// keyIn writes the keys that a store of a test was made with where keyed finds them.
func keyIn(t testing.TB, where string) (keyed, *Store) {
	t.Helper()
	dir := t.TempDir()
	keys := drawKeys(t, dir)
	s, err := Create(t.Context(), where, keys, options())
	if err != nil {
		t.Fatal(err)
	}
	k := keyed{where, filepath.Join(dir, "seal.key"), keys.Signing}
	s.reload = k.load
	t.Cleanup(func() { closeStore(t, s) })
	return k, s
}

// atEach runs f with an empty place of every kind, for tests that open stores themselves.
func atEach(t *testing.T, f func(t *testing.T, where string)) {
	t.Parallel()
	for name, v := range map[string]traveller{"sqlite": {}, "postgres": {postgres: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, v.place(t))
		})
	}
}

// TestRekey: all kinds of secrets open with the new version only, in processes that had the old one too; hashes stay what they were.
func TestRekey(t *testing.T) {
	atEach(t, func(t *testing.T, where string) {
		k, s := keyIn(t, where)
		d := &desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
		h := harness{s, k.open(t)}
		h.Add(t, storetest.Sample(1, token.Active))
		client, err := d.AddClient(t.Context(), "vpn", desk.ClientRights{})
		must(t, err)
		_, err = s.RotateClient(t.Context(), client.ID, secret.Copy([]byte("a newer key")), time.Hour)
		must(t, err)
		target, err := s.AddTarget(t.Context(), push.Server{Name: "a"}, secret.Copy([]byte("password")))
		must(t, err)
		_, err = s.KeepEscrow(t.Context(), 7, token.LockCode, secret.Copy([]byte("sixteen bytes it")))
		must(t, err)
		_, err = s.KeepEscrow(t.Context(), 7, token.PIVPIN, secret.Copy([]byte("734182")))
		must(t, err)
		_, api, err := d.AddOperator(t.Context(), "anna", []desk.Role{desk.RoleAdmin})
		must(t, err)
		before, err := k.load()
		must(t, err)
		next, err := seal.NewFile(k.file, nil).AddVersion(1, rand.Reader)
		must(t, err)
		r, err := s.Rekey(t.Context(), next, nil)
		if err != nil || r.Version != 2 || r.Broken != 0 || r.Sealed != 6 { // key, private ID, client, target, lock code, PIN
			t.Fatalf("%+v, %v", r, err)
		}
		if got, err := h.another.Import(t.Context(), "f", []keyfile.Record{sampleRecord(storetest.Sample(3, ""))}); err != nil || got[0].Outcome != desk.New {
			t.Errorf("a process that knows the old version only: %+v, %v", got, err)
		}
		if again, err := s.Rekey(t.Context(), next, nil); err != nil || again.Sealed != 0 {
			t.Errorf("again: %+v, %v", again, err)
		}
		if _, err := s.Rekey(t.Context(), before, nil); !errors.Is(err, token.ErrWrongKey) {
			t.Errorf("backwards: %v", err)
		}
		_, err = seal.NewFile(k.file, nil).KeepVersion(2, rand.Reader)
		must(t, err)
		for name, s := range map[string]*Store{"here": s, "there": h.another, "anew": k.open(t)} {
			if _, err := s.Find(t.Context(), storetest.Sample(1, "").PublicID); err != nil {
				t.Errorf("%s: credential: %v", name, err)
			}
			if c, err := s.Client(t.Context(), client.ID); err != nil || len(c.Keys) != 2 || string(c.Keys[0].Reveal()) != "a newer key" {
				t.Errorf("%s: client: %v", name, err)
			}
			if c, err := s.TargetCredential(t.Context(), target); err != nil || string(c.Reveal()) != "password" {
				t.Errorf("%s: target: %v", name, err)
			}
			for what, want := range map[token.EscrowKind]string{token.LockCode: "sixteen bytes it", token.PIVPIN: "734182"} {
				if c, err := s.Escrows(t.Context(), 7, what); err != nil || len(c) != 1 || string(c[0].Secret.Reveal()) != want {
					t.Errorf("%s: %s: %v", name, what, err)
				}
			}
			if _, err := s.Authenticate(t.Context(), api); err != nil {
				t.Errorf("%s: operator: %v", name, err)
			}
			rec := sampleRecord(storetest.Sample(1, "")) // seals with the new version, and is known by its mark
			rec.PublicID = storetest.Sample(2, "").PublicID
			if got, err := s.Import(t.Context(), "f", []keyfile.Record{rec}); err != nil || got[0].Outcome != desk.Different {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		if old, version, err := s.OldSealed(t.Context()); err != nil || old != 0 || version != 2 {
			t.Errorf("%d old rows, version %d, %v", old, version, err)
		}
		if _, err := Open(t.Context(), where, Keys{before, k.signing}, options()); !errors.Is(err, token.ErrWrongKey) {
			t.Errorf("the old file: %v", err)
		}
		verifyAudit(t, s)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// distinct is the n-th credential, with a key of its own; Sample's are alike after 256.
func distinct(n int) storetest.Credential {
	c := storetest.Sample(n, token.Active)
	sum := sha256.Sum256(fmt.Append(nil, "key ", n))
	copy(c.Key[:], sum[:])
	copy(c.PrivateID[:], sum[16:])
	return c
}

// rekeyVariable makes the test binary a process that changes the sealing key: its value is the place, the key's file and the signing
// key's, separated by line ends.
const rekeyVariable = "TOKENDESK_TEST_REKEY"

// rekeyChild finishes the change that was begun, or begins one.
func rekeyChild(text string) error {
	ctx := context.Background()
	parts := strings.Split(text, "\n")
	signing, err := seal.LoadSigningFile(parts[2])
	if err != nil {
		return err
	}
	k := keyed{parts[0], parts[1], signing}
	s, err := k.tryOpen(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	old, version, err := s.OldSealed(ctx)
	if err != nil {
		return err
	}
	key, err := k.load()
	if err != nil {
		return err
	}
	if key.Version() == version && old == 0 {
		if len(key.Versions()) > 3 {
			if _, err := seal.NewFile(k.file, nil).KeepVersion(version, rand.Reader); err != nil {
				return err
			}
		}
		if key, err = seal.NewFile(k.file, nil).AddVersion(version, rand.Reader); err != nil {
			return err
		}
	}
	_, err = s.Rekey(ctx, key, nil)
	return err
}

// TestRekeyWithAnotherVersion: two machines drew a version each, with the same number; only the one that came first seals with it.
func TestRekeyWithAnotherVersion(t *testing.T) {
	t.Parallel()
	k, s := keyIn(t, t.TempDir())
	other := s.ring()
	h := harness{s, k.open(t)}
	h.Add(t, storetest.Sample(1, token.Active))
	text, err := os.ReadFile(k.file)
	must(t, err)
	there := filepath.Join(t.TempDir(), "sealing.key")
	must(t, os.WriteFile(there, text, 0o600))
	ours, err := seal.NewFile(k.file, nil).AddVersion(other.Version(), rand.Reader)
	must(t, err)
	theirs, err := seal.NewFile(there, nil).AddVersion(other.Version(), rand.Reader)
	must(t, err)
	_, err = s.Rekey(t.Context(), ours, nil)
	must(t, err)
	if _, err := h.another.Rekey(t.Context(), theirs, nil); !errors.Is(err, token.ErrWrongKey) {
		t.Errorf("rekey: %v", err)
	}
	if _, err := h.another.Import(t.Context(), "f", []keyfile.Record{sampleRecord(storetest.Sample(3, ""))}); !errors.Is(err, token.ErrWrongKey) {
		t.Errorf("import: %v", err)
	}
}

// TestRekeyKilled changes the sealing key in a process that is killed at random, again and again, while two servers verify and staff add
// and change secrets: every one-time password is accepted, and every secret opens at the end. TOKENDESK_KILLS sets how often.
func TestRekeyKilled(t *testing.T) {
	atEach(t, func(t *testing.T, where string) {
		kills := 30
		if v, err := strconv.Atoi(os.Getenv("TOKENDESK_KILLS")); err == nil {
			kills = v
		} else if testing.Short() {
			kills = 5
		}
		k, s := keyIn(t, where)
		const keys = 600
		var list []keyfile.Record
		for n := range keys {
			r := sampleRecord(distinct(n))
			r.Line = n + 1
			list = append(list, r)
		}
		_, err := s.Import(t.Context(), "keys", list)
		must(t, err)
		client, err := (&desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}).AddClient(t.Context(), "vpn", desk.ClientRights{})
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for server := range 2 {
			wg.Go(func() { verifyAlways(ctx, t, k, server, keys, client.ID) })
		}
		killed := 0
		for tries := 0; killed < kills && tries < 20*kills; tries++ { // one that ended before it was killed does not count
			if killRekey(t, k) {
				killed++
			}
		}
		stop()
		wg.Wait()
		if killed < kills {
			t.Errorf("only %d of %d were killed in time", killed, kills)
		}
		last := k.open(t)
		key, err := k.load()
		must(t, err)
		if r, err := last.Rekey(t.Context(), key, nil); err != nil || r.Broken != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		all, err := collect(t.Context(), last.read, func(r scanner) (id token.CredentialID, err error) { return id, r.Scan(&id) }, `SELECT DISTINCT credential FROM secret`)
		must(t, err)
		for _, id := range all {
			if secrets, err := last.CredentialSecrets(t.Context(), id); err != nil || secrets.Key.Len() == 0 {
				t.Errorf("credential %d: %v", id, err)
			}
		}
		if len(all) < keys {
			t.Errorf("%d credentials have secrets", len(all))
		}
		verifyAudit(t, last)
	})
}

// verifyAlways is a server: it presents ever newer OTPs of keys of its own, changes a client's key and imports more, on a store that it
// opens anew now and then, so that nothing is kept in memory for long.
func verifyAlways(ctx context.Context, t *testing.T, k keyed, server, keys int, client int64) {
	more := 1000 * (server + 1)
	for use := 1; ctx.Err() == nil; use++ {
		s, err := k.tryOpen(ctx)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("server %d: %v", server, err)
			}
			return
		}
		v := validate.New(s, time.Now)
		for n := server; n < keys && ctx.Err() == nil; n += 2 + mathrand.IntN(20)*2 {
			r, err := v.Verify(ctx, validate.Request{OTP: distinct(n).Press(t, yubiotp.Token{UseCounter: uint16(use)}), Nonce: "n"})
			if ctx.Err() == nil && (err != nil || r.Outcome != validate.Accepted) {
				t.Errorf("server %d, key %d: %s %s, %v", server, n, r.Outcome, r.Reason, err)
			}
			if _, err := s.Client(ctx, client); ctx.Err() == nil && err != nil {
				t.Errorf("server %d: client: %v", server, err)
			}
		}
		if _, err := s.RotateClient(ctx, client, secret.Copy(fmt.Append(nil, "key ", server, use)), 0); ctx.Err() == nil && err != nil {
			t.Errorf("server %d: rotate: %v", server, err)
		}
		r := sampleRecord(distinct(more))
		more++
		if got, err := s.Import(ctx, "more", []keyfile.Record{r}); ctx.Err() == nil && (err != nil || got[0].Outcome != desk.New) {
			t.Errorf("server %d: import: %v, %v", server, got, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// killRekey starts a process that changes the key, and kills it within 100 ms; false if it had ended.
func killRekey(t *testing.T, k keyed) bool {
	t.Helper()
	signing := filepath.Join(filepath.Dir(k.file), "sign.key")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(slices.Clone(os.Environ()), rekeyVariable+"="+strings.Join([]string{k.where, k.file, signing}, "\n"))
	var said strings.Builder
	cmd.Stderr = &said
	must(t, cmd.Start())
	after := time.AfterFunc(time.Duration(20_000+mathrand.IntN(80_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
	defer after.Stop()
	err := cmd.Wait()
	if err != nil && said.Len() > 0 {
		t.Errorf("the change failed: %s", said.String())
	}
	return err != nil
}
