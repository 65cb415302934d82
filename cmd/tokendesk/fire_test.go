package main

import (
	"context"
	"fmt"
	weak "math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate/store/chaos"
)

// fire is a few server processes on one store, many clients that ask them, staff that block and restore, and somebody who kills.
type fire struct {
	*rig
	t       *testing.T
	random  *weak.Rand // of who kills
	clock   *fastClock
	slots   []slot
	changed atomic.Pointer[chan struct{}] // closed when a slot has another server
	otps    *fireLoad
	codes   *fireLoad
	hurts   []hurt
	done    map[string]int // what was done, by name
	wanted  []string       // of that, what must be done once
	failed  atomic.Int64   // answers that something failed
	hangUp  []func()       // let go of connections, so that a server that stops need not wait for them
	blocked []lostToken    // at the end
	said    sayings
}

// slot is a place for a server. The process in it changes.
type slot struct{ atomic.Pointer[server] }

// fireLoad is one kind of keys: who asks about them, and what was answered.
type fireLoad struct {
	*chaos.Load
	history *chaos.History
	query   func(key int) string              // names the token for staff
	text    func(key int, order int64) string // that is typed
	fresh   func(key int, r *weak.Rand) int64 // order of what is typed to bring a token back; an old one at times
	lost    func(key int)                     // is told of tokens that are blocked
	back    func(key int, order int64)        // and that were brought back
	ends    map[int]chaos.End                 // what the store has at the end
}

// hurt is something that is done to the servers, weight times as often as others.
type hurt struct {
	name   string
	weight int
	do     func() error
}

// sayings is what servers and staff said that went wrong. It is safe for concurrent use.
type sayings struct {
	mu       sync.Mutex
	text     strings.Builder
	troubles int    // of staff
	last     string // of them
}

func (s *sayings) add(text string) {
	const most = 1 << 20
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text.Len() < most {
		s.text.WriteString(text)
	}
}

// fireTime is a part of the time that all tests of this kind take together: a minute, or TOKENDESK_CHAOS.
func fireTime(percent int) time.Duration {
	whole := time.Minute
	if d, err := time.ParseDuration(os.Getenv("TOKENDESK_CHAOS")); err == nil {
		whole = d
	} else if testing.Short() {
		whole = 10 * time.Second
	}
	return whole * time.Duration(percent) / 100
}

// fireSeed is drawn, or TOKENDESK_CHAOS_SEED: then the same is done again, and falls in time as it may.
func fireSeed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("TOKENDESK_CHAOS_SEED"), 10, 64); err == nil {
		return n
	}
	return weak.Uint64()
}

// newFire makes a store, and what is asked about: Yubico OTPs of eight keys, and HOTP and TOTP tokens of four persons.
func newFire(t *testing.T, r *rig, servers int) *fire {
	t.Helper()
	needJudges(t, "oathtool", "pskctool")
	seed := fireSeed()
	t.Logf("TOKENDESK_CHAOS_SEED=%d", seed)
	f := &fire{rig: r, t: t, random: weak.New(weak.NewPCG(seed, 1<<32)), slots: make([]slot, servers), done: map[string]int{}}
	f.clock = newFastClock(r)
	changed := make(chan struct{})
	f.changed.Store(&changed)
	f.otps = f.newOTPs(seed)
	f.codes = f.newCodes(seed + 1)
	f.hurts = []hurt{{"kill", 6, f.killOne}, {"kill all", 1, f.killAll}, {"stop", 2, f.stopOne}, {"clock", 2, f.jump}}
	return f
}

// latest is how much longer a machine that does other things may take until enough was done.
const latest = 3 * time.Minute

// burn lets everybody do what they do for a time, and until enough was done, and then judges.
func (f *fire) burn(whole time.Duration) {
	start := time.Now()
	for i := range f.slots {
		if err := f.put(i); err != nil {
			f.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	var busy sync.WaitGroup
	for _, l := range []*fireLoad{f.otps, f.codes} {
		busy.Go(func() { l.Run(ctx, l.history, 0) })
	}
	busy.Go(func() { f.work(ctx) })
	f.kill(func() bool {
		took := time.Since(start)
		return took > whole && (len(f.missing(whole)) == 0 || took > whole+latest)
	})
	cancel()
	busy.Wait()
	f.bringBack()
	f.judge()
	f.report(time.Since(start), whole)
}

// kill does one thing after the other, with some time between.
func (f *fire) kill(enough func() bool) {
	sum := 0
	for _, h := range f.hurts {
		sum += h.weight
	}
	for !enough() {
		f.rest(600)
		n := f.random.IntN(sum)
		for _, h := range f.hurts {
			if n -= h.weight; n < 0 {
				if err := h.do(); err != nil {
					f.t.Errorf("%s: %v", h.name, err)
					return
				}
				f.done[h.name]++
				break
			}
		}
	}
}

// put starts a server in a slot, on a port of its own.
func (f *fire) put(i int) error {
	s, err := f.start(func(line string) bool { return strings.Contains(line, "level=ERROR") }, "--limit", "0")
	if err != nil {
		return err
	}
	f.slots[i].Store(s)
	next := make(chan struct{})
	close(*f.changed.Swap(&next))
	return nil
}

// end ends the server in a slot.
func (f *fire) end(i int, sig os.Signal) {
	log, code := f.slots[i].Load().stop(f.t, sig)
	if sig == syscall.SIGTERM && code != 0 {
		f.t.Errorf("a server that was told to stop: exit code %d\n%s", code, log)
	}
	f.said.add(log)
}

func (f *fire) killOne() error { return f.replace(os.Kill, f.random.IntN(len(f.slots))) }
func (f *fire) stopOne() error { return f.replace(syscall.SIGTERM, f.random.IntN(len(f.slots))) }
func (f *fire) killAll() error { return f.replace(os.Kill, f.random.Perm(len(f.slots))...) }

// replace ends servers and starts others.
func (f *fire) replace(sig os.Signal, which ...int) error {
	for _, i := range which {
		f.end(i, sig)
	}
	for _, i := range which {
		if err := f.put(i); err != nil {
			return err
		}
	}
	return nil
}

// jump sets the clock of all processes ahead by days, which also ends every lock.
func (f *fire) jump() error {
	f.clock.advance(time.Duration(25+f.random.IntN(72)) * time.Hour)
	return nil
}

// report prints what was done, and fails if that was little.
func (f *fire) report(took, whole time.Duration) {
	otps, codes := f.otps.history.Count(), f.codes.history.Count()
	kills := f.kills()
	count := func(list map[chaos.Answer]int) (n int) {
		for _, c := range list {
			n += c
		}
		return n
	}
	f.t.Logf("%v: %d requests about OTPs: %v; %d about codes: %v; %d answers that something failed, %d commands of staff; blocks %v and %v, restores %v and %v; %v, %d servers killed",
		took.Round(time.Millisecond), count(otps[chaos.Ask]), otps[chaos.Ask], count(codes[chaos.Ask]), codes[chaos.Ask], f.failed.Load(), f.said.troubles,
		otps[chaos.Block], codes[chaos.Block], otps[chaos.Restore], codes[chaos.Restore], f.done, kills)
	for _, m := range f.missing(whole) {
		f.t.Error(m)
	}
}

func (f *fire) kills() int { return f.done["kill"] + len(f.slots)*f.done["kill all"] }

// missing says of what was done less than is to be expected in that time.
func (f *fire) missing(whole time.Duration) (list []string) {
	otps, codes := f.otps.history.Count(), f.codes.history.Count()
	least := func(what string, got, want int) {
		if got < want {
			list = append(list, fmt.Sprintf("%s: only %d, at least %d were to be expected in %v", what, got, want, whole))
		}
	}
	seconds := int(whole / time.Second)
	least("OTPs accepted", otps[chaos.Ask][chaos.Accepted], 2*seconds)
	least("replays", otps[chaos.Ask][chaos.Replayed], seconds)
	least("OTPs of blocked tokens", otps[chaos.Ask][chaos.Refused], seconds/20)
	least("codes accepted", codes[chaos.Ask][chaos.Accepted], seconds)
	least("servers killed", f.kills(), seconds/8)
	least("blocks", otps[chaos.Block][chaos.Accepted], seconds/15)
	least("restores", otps[chaos.Restore][chaos.Accepted], seconds/20)
	for _, name := range f.wanted {
		least(name, f.done[name], 1)
	}
	return list
}

// TestServersUnderFire: three servers on one SQLite store are killed at random while many ask them about OTPs and codes, and staff block and
// restore tokens. What they answered is what one that decides about one OTP at a time could have answered, and all of it is stored.
func TestServersUnderFire(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	f := newFire(t, r, 3)
	f.burn(fireTime(40))
}

// fastClock is the clock of all processes of a rig, which goes ahead whenever somebody asks about a code. It is safe for concurrent use.
type fastClock struct {
	r  *rig
	mu sync.Mutex
	at time.Time
}

func newFastClock(r *rig) *fastClock {
	r.t.Helper()
	c := &fastClock{r: r, at: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	r.setTime(c.at)
	r.must("init")
	return c
}

// advance sets the clock ahead, and returns what it shows.
func (c *fastClock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	next := c.r.clockFile() + ".next"
	if err := os.WriteFile(next, []byte(c.at.Format(time.RFC3339Nano)), 0o600); err != nil {
		panic(fmt.Sprint("the clock stands: ", err))
	}
	if err := os.Rename(next, c.r.clockFile()); err != nil {
		panic(fmt.Sprint("the clock stands: ", err))
	}
	return c.at
}
