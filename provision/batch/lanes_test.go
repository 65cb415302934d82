package batch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/token"
)

// shift is a run of the engine that a test steers by hand.
type shift struct {
	*room
	stop   context.CancelFunc // Ctrl-C
	drop   context.CancelFunc // the second one
	events chan batch.Event
	seen   []batch.Event
	ended  chan error
	totals batch.Totals
	back   chan struct{} // closed: a store that was away is asked again
}

func (r *room) start() *shift {
	r.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	abandon, drop := context.WithCancel(context.Background())
	s := &shift{room: r, stop: stop, drop: drop, events: make(chan batch.Event, 1<<12), ended: make(chan error, 1), back: make(chan struct{})}
	b, err := r.st.Batch(ctx, r.batch.ID)
	must(r.t, err)
	e := &batch.Engine{
		Store: r.store(r.st), Bus: bus{r.hub, r.pause}, Batch: b, Spec: r.spec, Lanes: r.lanes, Rand: entropy{}, Now: time.Now, TouchWait: time.Minute,
		Pause: func(ctx context.Context) error {
			select {
			case <-s.back:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		Report: func(ev batch.Event) { s.events <- ev },
	}
	go func() {
		var err error
		s.totals, err = e.Run(ctx, abandon)
		s.ended <- err
	}()
	r.t.Cleanup(func() { stop(); drop() })
	return s
}

// until waits for an event.
func (s *shift) until(what string, is func(batch.Event) bool) batch.Event {
	s.t.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case ev := <-s.events:
			s.seen = append(s.seen, ev)
			if is(ev) {
				return ev
			}
		case <-patience:
			s.t.Fatalf("%s does not come; seen: %+v", what, s.seen)
		}
	}
}

// reaches waits until the lane of a port is in a state.
func (s *shift) reaches(port string, state batch.State) batch.Event {
	s.t.Helper()
	return s.until(port+" "+string(state), func(ev batch.Event) bool { return ev.Port == port && ev.State == state })
}

// end waits for the end of the run.
func (s *shift) end() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(time.Minute):
		s.t.Fatal("the run does not end")
	}
	return nil
}

func blank(serial uint32) *vkey.Key { return vkey.New(vkey.YubiKey543, vkey.Options{Serial: serial}) }

// done writes one key, in a port.
func (s *shift) done(port string, k *vkey.Key) batch.Event {
	s.t.Helper()
	must(s.t, s.hub.Plug(port, k))
	s.reaches(port, batch.Touch)
	s.hub.Touch(port, int(s.spec.Slot))
	return s.reaches(port, batch.Done)
}

// TestRecognised: a key that is done is so in every port and every run, and is another batch's for others; nothing is written again.
func TestRecognised(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.begin(3, "all")
	k := blank(77)
	s := r.start()
	if ev := s.done("1-1", k); ev.Position != 1 || ev.StockNumber != "T-0001" || ev.PublicID != token.SerialPublicID(77).String() || ev.Step != batch.StepLabel {
		t.Errorf("%+v", ev)
	}
	_, sets := k.Transfers()
	r.hub.Unplug("1-1")
	s.reaches("1-1", batch.Removed)
	must(t, r.hub.Plug("1-2", k))
	if ev := s.reaches("1-2", batch.Again); ev.StockNumber != "T-0001" || ev.Totals.Done != 1 {
		t.Errorf("%+v", ev)
	}
	s.stop()
	if err := s.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("the end: %v", err)
	}
	s = r.start()
	if ev := s.until("the begin", func(ev batch.Event) bool { return ev.Event == batch.Begun }); ev.Totals.Done != 1 || ev.Detail != "1 done, 0 uncertain" {
		t.Errorf("%+v", ev)
	}
	s.reaches("1-2", batch.Again)
	s.stop()
	_ = s.end() // interrupted
	r.begin(1, "all")
	s = r.start()
	if ev := s.reaches("1-2", batch.Aside); ev.Reason != token.AsideOtherBatch || !strings.Contains(ev.Detail, "batch 1") {
		t.Errorf("%+v", ev)
	}
	if _, now := k.Transfers(); now-sets > 9 { // asking for the serial number takes some
		t.Errorf("%d reports were written", now-sets)
	}
	s.stop()
	_ = s.end() // interrupted
	r.agree([]*vkey.Key{k})
}

// TestSample: only the positions of the sample are touched, and none with none; all are in stock and none validates.
func TestSample(t *testing.T) {
	t.Parallel()
	for touch, sample := range map[string][]int{"sample:1": {2}, "none": nil} {
		t.Run(touch, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t)
			r.begin(3, touch, sample...)
			s := r.start()
			var keys []*vkey.Key
			for n, port := range []string{"1-1", "1-2", "1-3"} {
				k := blank(uint32(100 + n))
				keys = append(keys, k)
				must(t, r.hub.Plug(port, k))
				if n == 1 && sample != nil {
					s.reaches(port, batch.Touch)
					r.hub.Touch(port, 2)
				}
				s.reaches(port, batch.Done)
			}
			for _, ev := range s.seen {
				if ev.State == batch.Touch && ev.Port != "1-2" {
					t.Errorf("a touch is asked for in %s", ev.Port)
				}
			}
			must(t, s.end())
			r.agree(keys)
			m := r.close(keys, map[token.Aside]int{})
			if m.SampleSize != len(sample) || m.Touched != len(sample) || m.Keys[1].Sample != (sample != nil) || (m.Keys[1].Proven != nil) != (sample != nil) || m.Keys[0].Proven != nil {
				t.Errorf("%+v", m)
			}
		})
	}
}

// TestPlaces: a key waits while all places are taken; when one is given back, it has its position and its stock number.
func TestPlaces(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.lanes = 2 // the one that waits keeps nobody from a lane
	locked := newKey(t, 1, 1)
	locked.LockSlot(1, [6]byte{1, 2, 3, 4, 5, 6})
	r.spec.Slot, r.spec.Overwrite, r.spec.Reason = 1, "factory", "new"
	r.begin(1, "all")
	hold := make(chan struct{})
	r.store = func(st batch.Store) batch.Store { return &gated{Store: st, serial: 1, gate: hold} }
	s := r.start()
	must(t, r.hub.Plug("1-1", locked))
	s.reaches("1-1", batch.Sealing)
	must(t, r.hub.Plug("1-2", newKey(t, 2, 1)))
	s.until("waiting for a place", func(ev batch.Event) bool { return ev.Port == "1-2" && ev.State == batch.Waiting && ev.Detail != "" })
	must(t, r.hub.Plug("1-3", newKey(t, 3, 1, 2)))
	s.reaches("1-3", batch.Aside)
	close(hold)
	if ev := s.reaches("1-1", batch.Aside); ev.Reason != token.AsideLocked {
		t.Errorf("%+v", ev)
	}
	s.reaches("1-2", batch.Touch)
	r.hub.Touch("1-2", 1)
	if ev := s.reaches("1-2", batch.Done); ev.Position != 1 || ev.StockNumber != "T-0001" {
		t.Errorf("%+v", ev)
	}
	must(t, s.end())
}

// gated holds the sealing of one key until its gate is opened.
type gated struct {
	batch.Store
	serial token.Serial
	gate   chan struct{}
	once   sync.Once
}

func (g *gated) Seal(ctx context.Context, id token.EntryID, s token.Secrets) error {
	g.once.Do(func() { <-g.gate })
	return g.Store.Seal(ctx, id, s)
}

// broken is a store whose marks fail while it is told so.
type broken struct {
	batch.Store
	mu   sync.Mutex
	away bool
}

func (b *broken) set(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

func (b *broken) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return errAway
	}
	return nil
}

func (b *broken) Mark(ctx context.Context, id token.EntryID, p token.Phase) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.Store.Mark(ctx, id, p)
}

// TestStoreAway: while the store is away no key is written, and when it is back all go on.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.begin(3, "none")
	st := &broken{away: true}
	r.store = func(s batch.Store) batch.Store { st.Store = s; return st }
	s := r.start()
	keys := []*vkey.Key{blank(1), blank(2), blank(3)}
	for n, port := range []string{"1-1", "1-2", "1-3"} {
		must(t, r.hub.Plug(port, keys[n]))
		s.reaches(port, batch.Writing)
	}
	paused := func(ev batch.Event) bool {
		return ev.Event == batch.Paused && strings.Contains(ev.Detail, errAway.Error())
	}
	if !slices.ContainsFunc(s.seen, paused) {
		s.until("the pause", paused)
	}
	for _, k := range keys {
		if k.Slot(2).Kind != vkey.Empty {
			t.Error("a key is written without the store")
		}
	}
	st.set(false)
	close(s.back)
	must(t, s.end())
	back := false
	for ev := range s.events {
		if back = back || ev.Event == batch.Resumed; ev.Event == batch.Ended {
			break
		}
	}
	if !back || s.totals.Done != 3 {
		t.Errorf("back %v, %+v", back, s.totals)
	}
	r.agree(keys)
}

// TestInterrupted: the first interruption lets a touch go and finishes what is written; the key is uncertain, and a touch settles it.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.begin(1, "all")
	k := blank(5)
	s := r.start()
	must(t, r.hub.Plug("1-1", k))
	s.reaches("1-1", batch.Touch)
	s.stop()
	s.reaches("1-1", batch.Uncertain)
	if err := s.end(); !errors.Is(err, context.Canceled) || s.totals.Uncertain != 1 {
		t.Errorf("%+v, %v", s.totals, err)
	}
	s = r.start()
	s.reaches("1-1", batch.Touch)
	r.hub.Touch("1-1", 1) // nothing is in slot 1
	r.hub.Touch("1-1", 2)
	s.reaches("1-1", batch.Done)
	must(t, s.end())
	r.agree([]*vkey.Key{k})
	if k.Slot(2).UseCounter != 1 {
		t.Error("the key was written again")
	}
}

// TestFinishesWrites: an interruption that comes when a write is about to begin lets it be written.
func TestFinishesWrites(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.begin(1, "all")
	k := blank(5)
	interrupt := make(chan func(), 1)
	r.store = func(st batch.Store) batch.Store { return &interrupting{Store: st, stop: interrupt} }
	s := r.start()
	interrupt <- s.stop
	must(t, r.hub.Plug("1-1", k))
	s.reaches("1-1", batch.Written)
	s.reaches("1-1", batch.Uncertain)
	_ = s.end() // interrupted
	if k.Slot(2).Kind == vkey.Empty {
		t.Error("nothing was written")
	}
}

// interrupting stops the run when the first write is marked.
type interrupting struct {
	batch.Store
	stop chan func()
}

func (i *interrupting) Mark(ctx context.Context, id token.EntryID, p token.Phase) error {
	err := i.Store.Mark(ctx, id, p)
	if p == token.Writing {
		(<-i.stop)()
	}
	return err
}

// TestReasons: what is put aside for what the key or the store tells.
func TestReasons(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.begin(9, "none")
	ours := reserve(t, r, 21)
	must(t, r.st.Seal(t.Context(), ours.ID, token.Secrets{Key: secretOf("0123456789abcdef"), PrivateID: secretOf("abcdef")}))
	must(t, r.st.Mark(t.Context(), ours.ID, token.Writing))
	must(t, r.st.Commit(t.Context(), ours.ID, &token.Counters{Use: 1}))
	reserve(t, r, 22)
	s := r.start()
	for n, tc := range []struct {
		key  *vkey.Key
		want token.Aside
	}{
		{vkey.New(vkey.YubiKey543, vkey.Options{Serial: 20, HideSerial: true}), token.AsideNoSerial}, {blank(21), token.AsideOurs}, {blank(22), token.AsideUnsettled},
		{newKey(t, 23, 2), token.AsideForeign}, {vkey.New(vkey.YubiKey543.WithPID(0x0120), vkey.Options{Serial: 24}), token.AsideFIDO},
		{vkey.New(vkey.YubiKey543.Without(vkey.OTP), vkey.Options{Serial: 25}), token.AsideNoOTP},
	} {
		port := "1-1." + string(rune('1'+n))
		must(t, r.hub.Plug(port, tc.key))
		if ev := s.reaches(port, batch.Aside); ev.Reason != tc.want || ev.Detail == "" || ev.Totals.Aside != n+1 {
			t.Errorf("want %s: %+v", tc.want, ev)
		}
	}
	s.stop()
	_ = s.end() // interrupted
	list, err := r.st.Aside(t.Context(), r.batch.ID)
	if err != nil || len(list) != 6 {
		t.Errorf("%d put aside, %v", len(list), err)
	}
}

// reserve opens a ledger entry beside the batch.
func reserve(t *testing.T, r *room, serial token.Serial) token.Entry {
	t.Helper()
	e, err := r.st.Reserve(t.Context(), token.Reservation{Serial: serial, Slot: 2, Kind: token.YubicoOTP, PublicID: token.SerialPublicID(serial), Proof: token.ByTouch})
	must(t, err)
	return e
}

// TestSameSerial: of two keys with one serial number, which no maker should sell, one is written, and the other is known.
func TestSameSerial(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.begin(2, "all")
	s := r.start()
	must(t, r.hub.Plug("1-1", blank(8)))
	s.reaches("1-1", batch.Touch)
	must(t, r.hub.Plug("1-2", blank(8)))
	s.until("waiting for the other", func(ev batch.Event) bool { return ev.Port == "1-2" && ev.State == batch.Waiting && ev.Serial == 8 })
	r.hub.Touch("1-1", 2)
	s.reaches("1-2", batch.Again)
	s.stop()
	_ = s.end() // interrupted
	if s.totals.Done != 1 {
		t.Errorf("%+v", s.totals)
	}
}

// TestSecondProcess: what another process wrote into the same batch counts, and the run ends when all is done.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.begin(1, "none")
	s := r.start()
	s.until("the begin", func(ev batch.Event) bool { return ev.Event == batch.Begun })
	e, _, err := r.st.ReserveItem(t.Context(), r.batch.ID, token.Reservation{Serial: 5, Slot: 2, Kind: token.YubicoOTP, PublicID: token.SerialPublicID(5), Proof: token.NoProof})
	must(t, err)
	must(t, r.st.Seal(t.Context(), e.ID, token.Secrets{Key: secretOf("0123456789abcdef"), PrivateID: secretOf("abcdef")}))
	must(t, r.st.Mark(t.Context(), e.ID, token.Written))
	must(t, r.st.Commit(t.Context(), e.ID, nil))
	must(t, r.hub.Plug("1-1", blank(6)))
	must(t, s.end())
	if s.totals.Done != 1 {
		t.Errorf("%+v", s.totals)
	}
}
