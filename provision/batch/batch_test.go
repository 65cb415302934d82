package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// fillBox puts keys into the box: good ones, and those that must be put aside. It returns the good ones.
func (r *room) fillBox(foreign, locked, bare, good int) []*vkey.Key {
	r.t.Helper()
	r.spec.Slot, r.spec.Overwrite, r.spec.Reason = 1, provision.Factory, "new"
	var list []*vkey.Key
	serial := uint32(1000)
	next := func() uint32 { serial++; return serial }
	for range foreign {
		r.box = append(r.box, newKey(r.t, next(), 1, 2))
	}
	for range locked {
		k := newKey(r.t, next(), 1)
		if !k.LockSlot(1, [6]byte{9, 9, 9, 9, 9, 9}) {
			r.t.Fatal("not locked")
		}
		r.box = append(r.box, k)
	}
	for n := range bare {
		p := vkey.YubiKey543.Without(vkey.OTP)
		if n%2 == 1 {
			p = vkey.YubiKey543.WithPID(0x0120)
		}
		r.box = append(r.box, vkey.New(p, vkey.Options{Serial: next()}))
	}
	for range good {
		list = append(list, newKey(r.t, next(), 1))
	}
	r.box = append(r.box, list...)
	r.last, r.all = list[good-1], len(r.box)
	r.rng.Shuffle(len(r.box), func(i, j int) { r.box[i], r.box[j] = r.box[j], r.box[i] })
	return list
}

// unplugs pulls a third of the keys out in the middle of something, the first three times.
func unplugs(_ *vkey.Key, times int, rng *rand.Rand) vkey.Faults {
	if rng.IntN(3) > 0 || times >= 3 {
		return vkey.Faults{}
	}
	return vkey.Faults{UnplugAfter: 1 + rng.IntN(60)}
}

var errAway = errors.New("the store is away")

// shaky is a store of which one call in ten fails, half of them after it was carried out.
type shaky struct {
	batch.Store
	mu  sync.Mutex
	rng *rand.Rand
}

func (s *shaky) luck() (before, after error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.rng.IntN(20) {
	case 0:
		return errAway, nil
	case 1:
		return nil, errAway
	}
	return nil, nil
}

func (s *shaky) call(f func() error) error {
	before, after := s.luck()
	if before != nil {
		return before
	}
	if err := f(); err != nil {
		return err
	}
	return after
}

func (s *shaky) ReserveItem(ctx context.Context, b token.BatchID, r token.Reservation) (e token.Entry, i token.BatchItem, err error) {
	err = s.call(func() (err error) { e, i, err = s.Store.ReserveItem(ctx, b, r); return err })
	return e, i, err
}

func (s *shaky) Seal(ctx context.Context, id token.EntryID, secrets token.Secrets) error {
	return s.call(func() error { return s.Store.Seal(ctx, id, secrets) })
}

func (s *shaky) Mark(ctx context.Context, id token.EntryID, p token.Phase) error {
	return s.call(func() error { return s.Store.Mark(ctx, id, p) })
}

func (s *shaky) Commit(ctx context.Context, id token.EntryID, c *token.Counters) error {
	return s.call(func() error { return s.Store.Commit(ctx, id, c) })
}

func (s *shaky) Abort(ctx context.Context, id token.EntryID, from token.Phase, reason string, c *token.Counters) error {
	return s.call(func() error { return s.Store.Abort(ctx, id, from, reason, c) })
}

func (s *shaky) PutAside(ctx context.Context, b token.BatchID, p token.PutAside) (added bool, err error) {
	err = s.call(func() (err error) { added, err = s.Store.PutAside(ctx, b, p); return err })
	return added, err
}

// close closes the batch and checks its manifest against what must be in it.
func (r *room) close(written []*vkey.Key, aside map[token.Aside]int) batch.Manifest {
	r.t.Helper()
	text, err := r.st.CloseBatch(r.t.Context(), r.batch.ID, false, func(c sqlstore.ClosingBatch) (string, error) {
		m, err := batch.NewManifest(c.Batch, c.Items, c.Aside, c.Audit)
		if err != nil {
			return "", err
		}
		return m.Sign(c.Public, c.Signature)
	})
	must(r.t, err)
	m, err := batch.VerifyManifest([]byte(text), r.keys.Signing.Public())
	must(r.t, err)
	var want, got []token.Serial
	for _, k := range written {
		want = append(want, token.Serial(k.Serial()))
	}
	numbers := map[string]bool{}
	for n, k := range m.Keys {
		got = append(got, k.Serial)
		if k.Position != n+1 || numbers[k.StockNumber] || k.PublicID != token.SerialPublicID(k.Serial).String() || k.Written == nil {
			r.t.Errorf("on the manifest: %+v", k)
		}
		numbers[k.StockNumber] = true
	}
	slices.Sort(got)
	if !slices.Equal(want, got) || m.Done != len(written) || m.Wanted != len(written) || len(m.Uncertain) != 0 {
		r.t.Errorf("%d keys on the manifest, want %d", len(got), len(want))
	}
	reasons := map[token.Aside]int{}
	for _, p := range m.Aside {
		reasons[p.Reason]++
	}
	if fmt.Sprint(reasons) != fmt.Sprint(aside) {
		r.t.Errorf("put aside %v, want %v", reasons, aside)
	}
	return m
}

// TestBox: a box of keys comes out as it must, whatever goes wrong.
func TestBox(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		good   int
		faults func(*vkey.Key, int, *rand.Rand) vkey.Faults
		shaky  bool
		stops  bool // Ctrl-C now and then, half of them twice
	}{
		{name: "nothing", good: 40}, {name: "unplugs", good: 60, faults: unplugs}, {name: "store failures", good: 60, shaky: true},
		{name: "interruptions", good: 60, stops: true}, {name: "all of it", good: 190, faults: unplugs, shaky: true, stops: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				tc.good = 30
			}
			r := newRoom(t)
			good := r.fillBox(5, 3, 2, tc.good)
			r.begin(len(good), "all")
			r.faults = tc.faults
			if tc.shaky {
				s := &shaky{rng: rand.New(rand.NewPCG(1, 2))}
				r.store = func(st batch.Store) batch.Store { s.Store = st; return s }
			}
			runs := 0
			for {
				runs++
				if tc.stops && runs < 12 {
					n := 40 + r.rng.IntN(tc.good)
					r.stopAt, r.abort = func(batch.Event) bool { n--; return n == 0 }, runs%2 == 0
				} else {
					r.stopAt = nil
				}
				totals, err := r.run()
				if err == nil {
					if totals.Done != len(good) || totals.Uncertain != 0 || totals.Aside != 10 {
						t.Errorf("%+v", totals)
					}
					break
				}
				if !errors.Is(err, context.Canceled) || runs > 20 {
					t.Fatalf("run %d: %v", runs, err)
				}
			}
			if tc.stops && runs < 3 {
				t.Errorf("%d runs", runs)
			}
			r.agree(good)
			m := r.close(good, map[token.Aside]int{token.AsideForeign: 5, token.AsideLocked: 3, token.AsideNoOTP: 1, token.AsideFIDO: 1})
			if m.Touched != len(good) || m.SampleSize != len(good) {
				t.Errorf("%d touched, sample of %d", m.Touched, m.SampleSize)
			}
		})
	}
}
