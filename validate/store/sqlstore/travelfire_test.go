package sqlstore

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// tally are one-time passwords by key, as numbers that rise: use counter times 256 and session counter.
type tally struct {
	drawn    atomic.Int64 // the newest that was presented
	mu       sync.Mutex
	accepted map[int]map[int]int // by key and number: how often
}

func (p *tally) took(key, number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accepted == nil {
		p.accepted = map[int]map[int]int{}
	}
	if p.accepted[key] == nil {
		p.accepted[key] = map[int]int{}
	}
	p.accepted[key][number]++
}

// highest is the highest that was accepted of a key; -1 for none.
func (p *tally) highest(key int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := -1
	for n := range p.accepted[key] {
		out = max(out, n)
	}
	return out
}

func acceptNumber(ctx context.Context, s *Store, id token.CredentialID, n int) (bool, error) {
	return s.Accept(ctx, validate.Advance{Credential: id, Use: n / 256, Session: n % 256, At: time.Now(),
		Event: validate.Event{Result: string(validate.Accepted), Reason: validate.ReasonAccepted}})
}

// fire presents ever newer OTPs of all keys at each store until stop is called, several times at once: one for each that may gives.
func fire(t *testing.T, stores []*Store, ids []token.CredentialID, p *tally, may <-chan struct{}) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	for _, s := range stores {
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-ctx.Done():
						return
					case <-may:
					}
					if ctx.Err() != nil {
						return
					}
					n, key := int(p.drawn.Add(1)), rand.IntN(len(ids))
					ok, err := acceptNumber(context.WithoutCancel(ctx), s, ids[key], n)
					switch {
					case ok:
						p.took(key, n)
					case err != nil && !errors.Is(err, token.ErrMoved):
						t.Errorf("accept: %v", err)
					}
				}
			})
		}
	}
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop) // where the test ends early
	return stop
}

func addKeys(t *testing.T, h harness, n int) (ids []token.CredentialID) {
	t.Helper()
	for i := range n {
		ids = append(ids, h.Add(t, storetest.Sample(i, token.Active)))
	}
	return ids
}

// some are the numbers up to n: the last ones, and others at random.
func some(n int) (out []int) {
	for i := range 20 {
		out = append(out, max(0, n-i), rand.IntN(max(1, n)))
	}
	return out
}

// once fails the test if an OTP was accepted more than once.
func (p *tally) once(t *testing.T) (total int) {
	t.Helper()
	for key, numbers := range p.accepted {
		for n, times := range numbers {
			if total++; times != 1 {
				t.Errorf("key %d: %d was accepted %d times", key, n, times)
			}
		}
	}
	return total
}

// TestCopyUnderFire moves a store while two processes accept: each OTP is accepted once, here or there, and what was accepted here is
// spent there.
func TestCopyUnderFire(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		h := open(t)
		ids := addKeys(t, h, 5)
		var p tally
		always := make(chan struct{})
		close(always)
		stop := fire(t, []*Store{h.s, h.another}, ids, &p, always)
		for p.highest(0) < 50 && !t.Failed() {
			runtime.Gosched()
		}
		v := traveller{h, h.s.keys, h.s.now, h.s.database() == "postgres"}
		there, _ := v.Copy(t).(traveller)
		newest := p.drawn.Load()
		for p.drawn.Load() < newest+20 && !t.Failed() {
			runtime.Gosched()
		}
		stop()
		for key, id := range ids {
			if got := p.highest(key); got > int(newest) {
				t.Errorf("key %d: the source accepted %d after the copy was there", key, got)
			}
			for _, n := range some(p.highest(key)) {
				if ok, err := acceptNumber(t.Context(), there.s, id, n); err != nil || ok {
					t.Fatalf("key %d: %d of %d was accepted by the copy (%v)", key, n, p.highest(key), err)
				}
			}
			if ok, err := acceptNumber(t.Context(), there.s, id, 1<<20); err != nil || !ok {
				t.Errorf("key %d: the next one: %v, %v", key, ok, err)
			}
		}
		t.Logf("%d OTPs accepted before the copy", p.once(t))
	})
}

// TestBackupUnderFire makes backups while two processes accept: each is put back whole, holds at least what was accepted when it was begun, and
// nothing that was accepted since counts again.
func TestBackupUnderFire(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		h := open(t)
		ids := addKeys(t, h, 5)
		var p tally
		may := make(chan struct{}, 600) // for each backup; more rows would only take longer to put back
		stop := fire(t, []*Store{h.s, h.another}, ids, &p, may)
		v := traveller{h, h.s.keys, h.s.now, h.s.database() == "postgres"}
		for range 3 {
			before := p.highest(0)
			for len(may) < cap(may) {
				may <- struct{}{}
			}
			for p.highest(0) == before && !t.Failed() {
				runtime.Gosched()
			}
			var begun []int
			for key := range ids {
				begun = append(begun, p.highest(key))
			}
			var out bytes.Buffer
			if _, err := h.s.Backup(t.Context(), &out, "nobody", nil); err != nil {
				t.Fatal(err)
			}
			back, _ := v.Restore(t, out.Bytes()).(traveller)
			for key, id := range ids {
				c, err := oneCredential(t.Context(), back.s.read, `WHERE c.id = ?`, id)
				must(t, err)
				if got := c.Counters.Use*256 + c.Counters.Session; got < begun[key] && begun[key] >= 0 || c.Caution != validate.Cautious {
					t.Errorf("key %d stands at %d, it stood at %d before; caution %d", key, got, begun[key], c.Caution)
				}
				for _, n := range some(p.highest(key) + 1) {
					if ok, err := acceptNumber(t.Context(), back.s, id, n); err != nil || ok {
						t.Fatalf("key %d: %d was accepted again (%v)", key, n, err)
					}
				}
			}
		}
		stop()
		p.once(t)
	})
}

// TestDamagedBackupLeavesNothing: cut or changed anywhere, or read from a disk that fails, it leaves no store and no file.
func TestDamagedBackupLeavesNothing(t *testing.T) {
	t.Parallel()
	h := openHarness(t)
	addKeys(t, h, 3)
	v := traveller{h, h.s.keys, h.s.now, false}
	whole := v.Backup(t)
	try := func(name string, r io.Reader) {
		where := t.TempDir()
		if _, err := Restore(t.Context(), where, v.keys, v.options(), r, RestoreOptions{}); err == nil {
			t.Errorf("%s: it was put back", name)
		}
		if left, err := os.ReadDir(where); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
	}
	for range 15 {
		n := rand.IntN(len(whole))
		try("cut at "+strconv.Itoa(n), bytes.NewReader(whole[:n]))
		bad := bytes.Clone(whole)
		bad[n] ^= 1 << rand.IntN(8)
		try("changed at "+strconv.Itoa(n), bytes.NewReader(bad))
	}
	try("a disk that fails", io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), failing{}))
	where := t.TempDir()
	if _, err := Restore(t.Context(), where, v.keys, v.options(), bytes.NewReader(whole), RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(where); err != nil || len(left) != 1 || left[0].Name() != FileName {
		t.Errorf("%v, %v", left, err)
	}
	wrong := drawKeys(t, t.TempDir())
	for name, keys := range map[string]Keys{"sealing": {wrong.Sealing, v.keys.Signing}, "signing": {v.keys.Sealing, wrong.Signing}} {
		if _, err := Restore(t.Context(), t.TempDir(), keys, v.options(), bytes.NewReader(whole), RestoreOptions{}); err == nil {
			t.Errorf("the wrong %s key was taken", name)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

// TestTamperedBackup: a store whose audit chain was changed is put back only by somebody who says so.
func TestTamperedBackup(t *testing.T) {
	t.Parallel()
	h := openHarnessUnverified(t)
	addKeys(t, h, 1)
	execute(t, h.s, `UPDATE audit SET actor = 'nobody' WHERE chain = 'desk' AND seq = 2`)
	v := traveller{h, h.s.keys, h.s.now, false}
	text := v.Backup(t)
	var wrong *AuditError
	if _, err := Restore(t.Context(), t.TempDir(), v.keys, v.options(), bytes.NewReader(text), RestoreOptions{}); !errors.As(err, &wrong) || !errors.Is(err, token.ErrIntegrity) {
		t.Errorf("%v", err)
	}
	if r, err := Restore(t.Context(), t.TempDir(), v.keys, v.options(), bytes.NewReader(text), RestoreOptions{DamagedAudit: true}); err != nil || r.Audit.OK() {
		t.Errorf("%+v, %v", r.Audit, err)
	}
}

func openHarnessUnverified(t testing.TB) harness {
	s, p := makeStore(t)
	return harness{s, p.openStore(t)}
}

// TestKilledServersLog kills a server with a log again and again. Then the backup of the beginning and the log give a store that nothing
// of what was answered is accepted by, and that is not cautious.
func TestKilledServersLog(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 3
	}
	s, p := makeStore(t)
	h := harness{s, s}
	id := h.Add(t, storetest.Sample(1, token.Active))
	v := traveller{h, p.keys, s.now, false}
	log := filepath.Join(t.TempDir(), "spent.log")
	order, total := 0, 0
	all := loadAndKill(t, p, &order, 1, logVariable+"="+log)
	backup := v.Backup(t)
	for range kills {
		accepted := loadAndKill(t, p, &order, 1, logVariable+"="+log)
		all, total = append(all, accepted...), total+len(accepted)
	}
	where := t.TempDir()
	r, err := Restore(t.Context(), where, p.keys, options(), bytes.NewReader(backup), RestoreOptions{Logs: []string{log}, Complete: true})
	if err != nil || !r.Trusted || r.Logged < total {
		t.Fatalf("%+v, %v", r, err)
	}
	back := place{where, p.keys}.openStore(t)
	for _, otp := range all {
		if ok, err := back.Accept(t.Context(), validate.Advance{Credential: id, Use: otp[0], Session: otp[1], Nonce: "again", At: time.Now()}); err != nil || ok {
			t.Fatalf("OTP %v was accepted again (%v)", otp, err)
		}
	}
	if ok, err := back.Accept(t.Context(), validate.Advance{Credential: id, Use: 0x7fff, At: time.Now()}); err != nil || !ok {
		t.Errorf("the next one: %v, %v", ok, err)
	}
	t.Logf("%d OTPs answered over %d kills, %d lines", total, kills, r.Logged)
}

// TestRestoreNeedsAllVersions: a backup whose rows were sealed by two versions of the sealing key needs both.
func TestRestoreNeedsAllVersions(t *testing.T) {
	t.Parallel()
	k, s := keyIn(t, t.TempDir())
	h := harness{s, s}
	h.Add(t, storetest.Sample(1, token.Active))
	next, err := seal.NewFile(k.file, nil).AddVersion(1, cryptorand.Reader)
	must(t, err)
	must(t, s.change(t.Context(), func(tx *tx) error { // as a change of the key that was broken off leaves it
		s.sealing.Store(&next)
		return tx.beginRekey(2)
	}))
	h.Add(t, storetest.Sample(2, token.Active))
	v := traveller{h, Keys{next, k.signing}, s.now, false}
	text := v.Backup(t)
	if _, err := Restore(t.Context(), t.TempDir(), v.keys, v.options(), bytes.NewReader(text), RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	only, err := seal.NewFile(k.file, nil).KeepVersion(2, cryptorand.Reader)
	must(t, err)
	if _, err := Restore(t.Context(), t.TempDir(), Keys{only, k.signing}, v.options(), bytes.NewReader(text), RestoreOptions{}); !errors.Is(err, token.ErrWrongKey) {
		t.Errorf("%v", err)
	}
}

// TestCopyToATakenPlace closes nothing.
func TestCopyToATakenPlace(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		h := open(t)
		_, taken := makeStore(t)
		if _, err := h.s.CopyTo(t.Context(), taken.dir, "there", options(), nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v", err)
		}
		if n := len(deskEvents(t, h.s, "store.close")); n != 0 {
			t.Error("the store was closed")
		}
		h.Add(t, storetest.Sample(1, token.Active))
	})
}

func deskEvents(t *testing.T, s *Store, action string) (out []string) {
	t.Helper()
	for e, err := range s.AuditEvents(t.Context(), AuditFilter{Chain: "desk"}) {
		must(t, err)
		if e.Action == action {
			out = append(out, e.Detail)
		}
	}
	return out
}
