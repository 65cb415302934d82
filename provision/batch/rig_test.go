package batch_test

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/hub"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/ykslot"
)

// room is a store, a hub and one person who fills the ports and touches what blinks.
type room struct {
	t     testing.TB
	dir   string
	keys  sqlstore.Keys
	st    *sqlstore.Store
	hub   *hub.Hub
	batch token.Batch
	spec  provision.Spec
	pause ykslot.Pause // nil: real time
	store func(batch.Store) batch.Store
	lanes int
	ports int

	mu     sync.Mutex
	rng    *rand.Rand
	box    []*vkey.Key          // not plugged in yet
	last   *vkey.Key            // comes when all others are ready: with it the batch ends
	all    int                  // how many keys there are
	in     map[string]*vkey.Key // by port
	seen   map[*vkey.Key]int    // how often it was plugged in
	ready  map[*vkey.Key]bool   // needs nothing more
	faults func(k *vkey.Key, times int, r *rand.Rand) vkey.Faults
	events []batch.Event
	states map[string]batch.State
	stopAt func(batch.Event) bool // a person presses Ctrl-C
	abort  bool                   // twice
	queue  chan batch.Event
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRoom(t testing.TB) *room {
	t.Helper()
	r := &room{
		t: t, dir: t.TempDir(), hub: hub.New(), lanes: 10, ports: 10, rng: rand.New(rand.NewPCG(6, 7)), in: map[string]*vkey.Key{}, seen: map[*vkey.Key]int{},
		ready: map[*vkey.Key]bool{}, states: map[string]batch.State{},
		pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		store: func(s batch.Store) batch.Store { return s },
		spec:  provision.Spec{Slot: 2, PublicID: provision.FromSerial, AccessCode: provision.RandomCode, Verify: token.ByTouch},
	}
	t.Cleanup(r.hub.Close)
	var err error
	r.keys.Sealing, err = seal.CreateFile(filepath.Join(r.dir, "seal.key"), entropy{})
	must(t, err)
	r.keys.Signing, err = seal.CreateSigningFile(filepath.Join(r.dir, "sign.key"), entropy{})
	must(t, err)
	r.st, err = sqlstore.Create(t.Context(), r.dir, r.keys, sqlstore.Options{Now: time.Now, Rand: entropy{}, Actor: "tester"})
	must(t, err)
	t.Cleanup(func() { _ = r.st.Close() })
	return r
}

// entropy is the system's randomness.
type entropy struct{}

func (entropy) Read(b []byte) (int, error) { return cryptorand.Read(b) }

// begin makes the batch.
func (r *room) begin(wanted int, touch string, sample ...int) {
	r.t.Helper()
	var err error
	r.batch, err = r.st.BeginBatch(r.t.Context(), token.Batch{
		Profile: "staff", ProfileText: "name = staff\n", Slot: r.spec.Slot, StockPrefix: "T-", Wanted: wanted, Touch: touch, Sample: sample, Order: "O-1",
	})
	must(r.t, err)
}

// bus is the hub as the engine has it.
type bus struct {
	*hub.Hub
	pause ykslot.Pause
}

func (b bus) Watch(ctx context.Context) iter.Seq2[usbhid.Event, error] { return b.Hub.Watch(ctx, nil) }

func (b bus) Open(ctx context.Context, at usbhid.Attached) (batch.Key, error) {
	dev, err := b.Hub.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	session, err := ykslot.Open(ctx, dev, b.pause)
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	n, err := session.Serial(ctx)
	if err != nil && !errors.Is(err, ykslot.ErrSerialHidden) {
		return nil, errors.Join(err, dev.Close())
	}
	return openKey{provision.Key{Session: session, Input: dev}, token.Serial(n), dev}, nil
}

type openKey struct {
	provision.Key
	serial token.Serial
	dev    usbhid.Device
}

func (k openKey) Serial() token.Serial { return k.serial }
func (k openKey) Close() error         { return k.dev.Close() }

// run runs the engine while the person works, until it ends.
func (r *room) run() (batch.Totals, error) {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.t.Context())
	defer stop()
	abandon, drop := context.WithCancel(r.t.Context())
	defer drop()
	r.queue = make(chan batch.Event, 1<<16)
	b, err := r.st.Batch(ctx, r.batch.ID)
	must(r.t, err)
	e := &batch.Engine{
		Store: r.store(r.st), Bus: bus{r.hub, r.pause}, Batch: b, Spec: r.spec, Lanes: r.lanes, Rand: entropy{}, Now: time.Now, TouchWait: time.Minute,
		Pause: func(ctx context.Context) error { return ctx.Err() },
		Report: func(ev batch.Event) {
			if r.stopAt != nil && r.stopAt(ev) {
				if stop(); r.abort {
					drop()
				}
			}
			r.queue <- ev
		},
	}
	hand := make(chan struct{})
	go func() { defer close(hand); r.work() }()
	totals, err := e.Run(ctx, abandon)
	close(r.queue)
	<-hand
	return totals, err
}

// work is the person: fill the ports, touch what blinks, take out what is settled.
func (r *room) work() {
	for n := 1; n <= r.ports; n++ {
		r.fill(fmt.Sprintf("1-1.%d", n))
	}
	for ev := range r.queue {
		r.mu.Lock()
		r.events = append(r.events, ev)
		r.mu.Unlock()
		if ev.Event != batch.Lane {
			continue
		}
		r.states[ev.Port] = ev.State
		k := r.in[ev.Port]
		switch {
		case ev.State == batch.Touch:
			r.hub.Touch(ev.Port, int(r.spec.Slot))
		case ev.State == batch.Removed:
			delete(r.in, ev.Port)
			if k != nil && !r.ready[k] {
				r.box = append(r.box, k)
			}
			r.fill(ev.Port)
		case ev.State.Settled():
			if k != nil && ev.State != batch.Uncertain {
				r.ready[k] = true
			}
			r.hub.Unplug(ev.Port)
		}
	}
	for _, port := range r.hub.Ports() { // the person goes home, and puts what is not done back into the box
		r.hub.Unplug(port)
	}
	for _, k := range r.in {
		if !r.ready[k] {
			r.box = append(r.box, k)
		}
	}
	clear(r.in)
}

// fill plugs the next key in.
func (r *room) fill(port string) {
	n := slices.IndexFunc(r.box, func(k *vkey.Key) bool { return k != r.last || len(r.ready) == r.all-1 })
	if n < 0 {
		return
	}
	k := r.box[n]
	r.box = slices.Delete(r.box, n, n+1)
	if r.faults != nil {
		k.SetFaults(r.faults(k, r.seen[k], r.rng))
	}
	r.seen[k]++
	must(r.t, r.hub.Plug(port, k))
	r.in[port] = k
}

// newKey is a key with the factory's configuration in slot 1 if that is wanted.
func newKey(t testing.TB, serial uint32, slots ...int) *vkey.Key {
	t.Helper()
	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: serial})
	c, err := k.Open()
	must(t, err)
	for _, s := range slots {
		session, err := ykslot.Open(t.Context(), c, func(ctx context.Context, _ time.Duration) error { return ctx.Err() })
		must(t, err)
		cfg, err := ykslot.YubicoOTP{
			PublicID: []byte{0, 0, 0, 0, 0, 1}, PrivateID: secretOf("abcdef"), Key: secretOf("not ours at all!"), Flags: ykslot.TypingFlags(session.Status().Version),
		}.Config()
		must(t, err)
		must(t, session.Write(t.Context(), ykslot.Slot(s), cfg, secretOf("")))
	}
	must(t, c.Close())
	return k
}

// agree fails unless each key of the list holds just what the store has for it, and every token is in stock under a number of its own.
func (r *room) agree(written []*vkey.Key) {
	r.t.Helper()
	numbers := map[string]bool{}
	open, err := r.st.Open(r.t.Context())
	if err != nil || len(open) != 0 {
		r.t.Errorf("%d entries open, %v", len(open), err)
	}
	for _, k := range written {
		tok, live, err := r.st.Slots(r.t.Context(), token.Serial(k.Serial()))
		if err != nil || len(live) != 1 {
			r.t.Errorf("key %d: %d live credentials, %v", k.Serial(), len(live), err)
			continue
		}
		s := live[0].Secrets
		if !k.Holds(int(r.spec.Slot), slices.Concat(s.Key.Reveal(), s.PrivateID.Reveal())) || !k.HoldsAccessCode(int(r.spec.Slot), [6]byte(s.AccessCode.Reveal())) {
			r.t.Errorf("key %d holds another secret than the store", k.Serial())
		}
		if tok.State != token.InStock || numbers[tok.StockNumber] || tok.StockNumber == "" || live[0].Enabled {
			r.t.Errorf("key %d: %s, stock number %q, enabled %v", k.Serial(), tok.State, tok.StockNumber, live[0].Enabled)
		}
		numbers[tok.StockNumber] = true
		all, err := r.st.Credentials(r.t.Context(), tok.ID)
		must(r.t, err)
		for _, c := range all {
			if c.ID != live[0].ID && c.State != token.Revoked {
				r.t.Errorf("key %d has a second credential: %s", k.Serial(), c.State)
			}
		}
	}
}

func secretOf(s string) secret.Bytes { return secret.Copy([]byte(s)) }
