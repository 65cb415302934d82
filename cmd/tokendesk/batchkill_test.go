package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// box is a box of virtual keys in the test's process, ten ports, and a person who works with them. The program under test is another
// process, which may be killed.
type box struct {
	r     *rig
	ring  *keyring
	rng   *rand.Rand
	ports int
	fault bool // keys are pulled out in the middle now and then

	mu    sync.Mutex
	left  []string // names of keys that are not plugged in
	last  string   // comes when all others are ready: with it the batch ends
	in    map[string]bool
	ready map[string]bool // needs nothing more
	seen  map[string]int
}

const boxSlot = 1

// newBox fills a box: good keys with the factory's configuration, and some that must be put aside.
func newBox(t *testing.T, r *rig, good, foreigns, locked, bare int) *box {
	t.Helper()
	ring, err := newKeyring()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.close)
	b := &box{r: r, ring: ring, rng: rand.New(rand.NewPCG(3, 9)), ports: 10, in: map[string]bool{}, ready: map[string]bool{}, seen: map[string]int{}}
	serial := uint32(5000)
	add := func(n int, p vkey.Profile, prepare func(*vkey.Key)) {
		for range n {
			serial++
			k := vkey.New(p, vkey.Options{Serial: serial})
			prepare(k)
			name := fmt.Sprint("k", serial)
			if err := ring.plug(name, k, plugged{Driver: "usbhid"}); err != nil {
				t.Fatal(err)
			}
			if err := ring.pull(name); err != nil {
				t.Fatal(err)
			}
			b.left = append(b.left, name)
		}
	}
	factory := func(slots ...int) func(*vkey.Key) {
		return func(k *vkey.Key) {
			for _, s := range slots {
				if err := foreign(k, s); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	add(foreigns, vkey.YubiKey543, factory(1, 2))
	add(locked, vkey.YubiKey543, func(k *vkey.Key) { factory(boxSlot)(k); k.LockSlot(boxSlot, [6]byte{9, 9, 9, 9, 9, 9}) })
	add(bare, vkey.YubiKey543.Without(vkey.OTP), func(*vkey.Key) {})
	add(good, vkey.YubiKey543, factory(boxSlot))
	b.last = b.left[len(b.left)-1]
	b.rng.Shuffle(len(b.left), func(i, j int) { b.left[i], b.left[j] = b.left[j], b.left[i] })
	return b
}

// fill puts keys into the free ports.
func (b *box) fill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.in) < b.ports {
		n := slices.IndexFunc(b.left, func(name string) bool { return name != b.last || len(b.ready) == len(b.ring.keys)-1 })
		if n < 0 {
			return
		}
		name := b.left[n]
		b.left, b.in[name] = slices.Delete(b.left, n, n+1), true
		k := b.ring.keys[name]
		k.SetFaults(vkey.Faults{})
		if b.seen[name]++; b.fault && b.seen[name] <= 2 && b.rng.IntN(4) == 0 {
			k.SetFaults(vkey.Faults{UnplugAfter: 1 + b.rng.IntN(60)})
		}
		if err := b.ring.insert(name); err != nil {
			b.r.t.Error(err)
		}
		gone := k.Gone()
		go func() { <-gone; b.pull(name) }() // it ends when the key is pulled out, at last by home
	}
}

// pull takes a key out; one that is not ready goes back into the box.
func (b *box) pull(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.in[name] {
		return
	}
	delete(b.in, name)
	if err := b.ring.pull(name); err != nil {
		b.r.t.Error(err)
	}
	if !b.ready[name] {
		b.left = append(b.left, name)
	}
}

// react is what the person does when the screen changes.
func (b *box) react(ev batch.Event) {
	switch {
	case ev.Event != batch.Lane:
	case ev.State == batch.Touch:
		b.ring.keys[ev.Port].Touch(boxSlot)
	case ev.State == batch.Removed:
		b.fill()
	case ev.State.Settled():
		b.mu.Lock()
		if ev.State != batch.Uncertain {
			b.ready[ev.Port] = true
		}
		b.mu.Unlock()
		b.pull(ev.Port)
	}
}

// home: everything is pulled out.
func (b *box) home() {
	b.mu.Lock()
	var names []string
	for name := range b.in {
		names = append(names, name)
	}
	b.mu.Unlock()
	for _, name := range names {
		b.pull(name)
	}
}

// run runs the program until it ends, or kills it after so many events; 0: never. It returns the exit code, -1 for a killed one.
func (b *box) run(killAt int, words ...string) int {
	b.r.t.Helper()
	cmd := b.r.program(b.ring.dir, boxSlot, append([]string{"-o", "json"}, words...)...)
	cmd.Env = append(cmd.Env, "TOUCH=", "TOUCH_WAIT=1m", "TICK=2ms") // react touches
	var talk sharedBuffer
	cmd.Stderr = &talk
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.r.t.Fatal(err)
	}
	b.fill()
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		var ev batch.Event
		if err := json.Unmarshal(in.Bytes(), &ev); err != nil || ev.Event == "" {
			continue // what is shown at the end
		}
		if ev.Schema != batch.Schema || ev.Step == "" || ev.Time.IsZero() {
			b.r.t.Errorf("event %s", in.Text())
		}
		if n == killAt {
			_ = cmd.Process.Kill() // Wait tells
		}
		b.react(ev)
	}
	_ = cmd.Wait() // the exit code tells
	b.home()
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		b.r.t.Logf("exit code %d: %s", code, talk.String())
	}
	return cmd.ProcessState.ExitCode()
}

// sharedBuffer takes what a process says.
type sharedBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (s *sharedBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, b...)
	return len(b), nil
}

func (s *sharedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

// TestBatchKilled: the program is killed three times in the middle of a box; the manifest is exact, every key holds what the store has for it.
func TestBatchKilled(t *testing.T) {
	t.Parallel()
	const good = 190 // 200 keys with those that are put aside
	r := newRig(t, boxSlot)
	r.must("init")
	p := profile.New("staff", token.YubicoOTP)
	p.Slot, p.Overwrite, p.Reason, p.StockPrefix = boxSlot, "factory", "new", "R-"
	if _, err := r.open().AddProfile(t.Context(), p, false); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, r, good, 5, 3, 2)
	b.fault = true
	words := []string{"provision", "batch", "--profile", "staff", "--count", fmt.Sprint(good), "--ticket", "T-1"}
	for range 3 {
		if code := b.run(60+b.rng.IntN(200), words...); code != -1 {
			t.Fatalf("exit code %d, want a killed program", code)
		}
		words = []string{"provision", "batch", "--resume", "1"}
	}
	manifest := filepath.Join(t.TempDir(), "box.json")
	if code := b.run(0, append(words, "--manifest", manifest)...); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	r.must("provision", "manifest", "verify", manifest)
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	m := b.onManifest(t, text)
	if m.Done != good || m.Touched != good || m.Ticket != "T-1" || m.Operator == "" {
		t.Errorf("%d done, %d touched, ticket %q", m.Done, m.Touched, m.Ticket)
	}
	for n := range text { // every 97th byte, one bit
		if n%97 == 0 {
			forged := slices.Clone(text)
			forged[n] ^= 1
			if _, err := batch.VerifyManifest(forged, b.public()); err == nil {
				t.Fatalf("byte %d may be changed", n)
			}
		}
	}
	forged := filepath.Join(t.TempDir(), "forged.json")
	if err := os.WriteFile(forged, []byte(replaceOnce(string(text), `"done": 190`, `"done": 191`)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := r.run("provision", "manifest", "verify", forged); code != exitIntegrity {
		t.Errorf("a forged manifest: exit code %d", code)
	}
	r.must("audit", "verify")
}
