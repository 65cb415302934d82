package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// deskDay is a day at a desk: a program on a terminal, keys in another process, and an operator who reads the screen and does what it says.
type deskDay struct {
	t     *testing.T
	rig   *rig
	ring  *keyring
	rnd   *rand.Rand
	term  *terminal
	away  string // the store is, while this file is there
	kills int    // how many are still wanted

	killed, pulled, wrong, lost, aside int
	quickest                           map[accident]float64 // seconds of machine time of one person
}

// accident is what goes wrong at one appointment.
type accident int

const (
	nothingWrong accident = iota
	pulledOut
	wrongTouch
	othersKey
	foreignSlot
	fidoOnly
	storeLost
	answerLost
	accidents
)

func newDeskDay(t *testing.T, people int) *deskDay {
	t.Helper()
	d := &deskDay{t: t, rig: newRig(t, 2), rnd: rand.New(rand.NewPCG(6, 2026)), quickest: map[accident]float64{}}
	d.rig.must("init")
	list := "account,name\n"
	for i := range people {
		list += fmt.Sprintf("%s,Person %d\n", account(i), i)
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	d.rig.must("person", "import", file)
	var err error
	if d.ring, err = newKeyring(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.ring.close)
	d.away = filepath.Join(t.TempDir(), "away")
	return d
}

func account(i int) string { return fmt.Sprintf("p%02d", i) }

// key is the key of appointment i, with the factory's configuration in slot 1.
func (d *deskDay) key(i int) (string, *vkey.Key) {
	d.t.Helper()
	name := fmt.Sprintf("k%02d", i)
	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: uint32(1000 + i)})
	if err := foreign(k, 1); err != nil {
		d.t.Fatal(err)
	}
	d.hidden(name, k)
	return name, k
}

// hidden serves a key that is not plugged in yet.
func (d *deskDay) hidden(name string, k *vkey.Key) {
	d.t.Helper()
	if d.ring.keys[name] != nil {
		return
	}
	if err := d.ring.plug(name, k, plugged{Driver: "usbhid"}); err != nil {
		d.t.Fatal(err)
	}
	d.pull(name)
}

func (d *deskDay) pull(name string) {
	d.ring.keys[name].Unplug()
	_ = os.Remove(filepath.Join(d.ring.dir, name+".json")) // it may be out already
}

func (d *deskDay) insert(name string) {
	d.t.Helper()
	if err := d.ring.insert(name); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deskDay) in(name string) bool {
	_, err := os.Stat(filepath.Join(d.ring.dir, name+".json"))
	return err == nil
}

// open starts the program, which is to stop somewhere if kills are wanted.
func (d *deskDay) open(words ...string) {
	d.t.Helper()
	cmd := d.rig.program(d.ring.dir, 2, append([]string{"provision", "desk", "--slot", "2"}, words...)...)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "TOUCH=") || strings.HasPrefix(v, "TERM=") })
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "TICK=4ms", "TYPING=4ms", "TOUCH_WAIT=30s", "STORE_AWAY="+d.away)
	if d.kills > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprint("STOP_AT=", 1+d.rnd.IntN(260)))
	}
	d.term = startTerminal(d.t, cmd, 24, 80)
}

// killedHere kills the program, which has stopped, and starts another.
func (d *deskDay) killedHere(words ...string) {
	d.t.Helper()
	if d.term.ended() {
		d.t.Fatalf("the program ended:\n%s\n%s", d.term.screen(), d.term.said.String())
	}
	d.term.kill()
	_ = os.Remove(d.away) // nobody opens a store that is away
	d.killed++
	d.kills--
	d.open(words...)
}

var promptLine = regexp.MustCompile(`(?m)^ [►…✓!] (.*)(?:\n {3}(\S.*))?`)

// promptOf is the line that says what to do; "" while the screen is being drawn.
func promptOf(screen string) string {
	m := promptLine.FindStringSubmatch(screen)
	if m == nil || !strings.Contains(screen, "Ctrl-C end") && !strings.Contains(screen, "Esc cancel") {
		return ""
	}
	return strings.TrimSpace(m[1] + " " + m[2])
}

// serve is one appointment: until the person has the key.
func (d *deskDay) serve(i int, what accident) {
	d.t.Helper()
	name, k := d.key(i)
	who, said, touched, kind := account(i), "", false, what
	for range 400 {
		var now string
		ok := d.term.until("another prompt", func(screen string) bool {
			now = promptOf(screen)
			return now != "" && now != said
		})
		if !ok {
			d.killedHere()
			said, touched = "", false
			continue
		}
		said = now
		has := func(text string) bool { return strings.Contains(now, text) }
		switch {
		case has("who is it?"), has("nobody fits"):
			if d.holds(who) { // it was killed after the issue
				d.pull(name)
				return
			}
			d.name(i, who)
		case has("Enter chooses"), has("looking"), has("reading the key"), has("a fresh secret"), has("writing:"), has("binding"), has("stopping"), has("issued;"):
			if has("reading") || has("writing") {
				d.outBy(name, k)
			}
		case has("belongs to " + who):
			d.pull(name)
			if !d.term.until("an empty desk", func(screen string) bool { return promptOf(screen) != now }) {
				d.killedHere()
			}
			return
		case has("that is in belongs to"): // the one of before is out, which the program sees in a moment
		case has("has a key already"), has("theirs already"):
			d.term.press("\x1b")
		case has("check the identity"):
			if what == storeLost || what == answerLost {
				d.loseStore(what)
				what = nothingWrong
			}
			d.term.press(fmt.Sprint(1 + d.rnd.IntN(5)))
		case has("known personally"):
			d.term.press("Turing\r")
		case has("plug in a key"):
			what = d.bring(name, k, what)
		case has("plug in key"):
			d.insert(name)
		case has("that is another key"), has("take another key"):
			d.aside++
			d.pullAll()
		case has("that was the short touch"), has("touch the disc"):
			if what == wrongTouch && !touched {
				touched = true
				d.wrong++
				k.Touch(1)
				continue
			}
			k.Touch(2)
			d.outBy(name, k)
		case has("WAIT: the store"):
			d.lost++
			_ = os.Remove(d.away) // it may answer again already
		case has("pull the key out"):
			d.measure(kind)
			if !has("give it to " + who) {
				d.t.Fatalf("the key of %s: %s", who, now)
			}
			d.pull(name)
			if !d.term.until("the next appointment", func(screen string) bool { return promptOf(screen) != now }) {
				d.killedHere()
			}
			return
		default:
			d.t.Fatalf("nobody told the operator about %q", now)
		}
	}
	d.t.Fatalf("appointment %d has no end:\n%s", i, d.term.screen())
}

// name says who it is, by letters or as a scanner does.
func (d *deskDay) name(i int, who string) {
	if i%2 == 0 {
		d.term.press(who + "\r")
		return
	}
	d.term.press("\x15" + who[:2])
	d.term.press(who[2:])
	if d.term.until("the hit", func(screen string) bool {
		return strings.Contains(screen, "► "+who) || !strings.Contains(promptOf(screen), "who is it") && !strings.Contains(promptOf(screen), "Enter chooses")
	}) {
		d.term.press("\r")
	}
}

// bring plugs in what is at hand: sometimes the wrong thing first.
func (d *deskDay) bring(name string, k *vkey.Key, what accident) accident {
	d.t.Helper()
	wrong := ""
	switch what {
	case wrongTouch:
		defer d.insert(name)
		return what
	case othersKey:
		wrong = "k00"
	case foreignSlot:
		wrong = "foreign"
	case fidoOnly:
		wrong = "fido"
	case pulledOut:
		d.pulled++
		k.SetFaults(vkey.Faults{})
		d.insert(name)
		k.SetFaults(vkey.Faults{UnplugAfter: 8 + d.rnd.IntN(34)})
		return nothingWrong
	}
	if wrong != "" && d.ring.keys[wrong] != nil && wrong != name {
		d.insert(wrong)
		if d.term.sees("take another key") {
			d.aside++
			d.pull(wrong)
			d.term.until("nothing aside", func(screen string) bool { return !strings.Contains(screen, "take another key") })
		} else {
			d.pull(wrong)
		}
	}
	d.insert(name)
	return nothingWrong
}

// outBy takes a key out of its port that pulled itself out.
func (d *deskDay) outBy(name string, k *vkey.Key) {
	select {
	case <-k.Gone():
		d.pull(name)
	default:
	}
}

func (d *deskDay) pullAll() {
	for name := range d.ring.keys {
		if d.in(name) {
			d.pull(name)
		}
	}
}

func (d *deskDay) loseStore(what accident) {
	d.t.Helper()
	how := ""
	if what == answerLost {
		how = "answers"
	}
	if err := os.WriteFile(d.away, []byte(how), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

var machineLine = regexp.MustCompile(`Machine +([0-9.]+) s`)

// measure keeps the machine time of the quickest person with an accident: a test's machine may stand still now and then.
func (d *deskDay) measure(kind accident) {
	if m := machineLine.FindStringSubmatch(d.term.screen()); m != nil {
		s, _ := strconv.ParseFloat(m[1], 64)
		if before, known := d.quickest[kind]; !known || s < before {
			d.quickest[kind] = s
		}
	}
}

// holds asks the store, as the operator would in another window.
func (d *deskDay) holds(who string) bool {
	list, err := (&desk.Desk{Store: d.store(), Now: time.Now}).Holds(d.t.Context(), who)
	if err != nil {
		d.t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(k token.Token) bool { return k.State == token.Active })
}

func (d *deskDay) store() *sqlstore.Store { return d.rig.open() }

// TestDeskDay is fifty appointments with every accident, on a terminal, and kill -9 anywhere: no secret is lost, nobody gets two keys,
// and nobody waits long for the machine.
func TestDeskDay(t *testing.T) {
	t.Parallel()
	people, kills := 50, 30
	if testing.Short() {
		people, kills = 16, 6
	}
	d := newDeskDay(t, people)
	d.kills = kills
	d.hidden("foreign", vkey.New(vkey.YubiKey543, vkey.Options{Serial: 99}))
	d.ring.keys["foreign"].Plug()
	if err := foreign(d.ring.keys["foreign"], 2); err != nil {
		t.Fatal(err)
	}
	d.pull("foreign")
	d.hidden("fido", vkey.New(vkey.YubiKey543.WithPID(0x0120), vkey.Options{Serial: 98}))
	began := time.Now()
	d.open()
	for i := range people {
		d.serve(i, accident(i)%accidents)
	}
	d.kills = 0
	d.term.press("\x03")
	d.term.until("end", func(string) bool { return d.term.ended() })
	d.agree(people)
	t.Logf("%d appointments in %v: %d kills, %d pulled out, %d wrong touches, %d times without store, %d keys put aside; machine time by accident %v",
		people, time.Since(began).Round(time.Millisecond), d.killed, d.pulled, d.wrong, d.lost, d.aside, d.quickest)
	for kind, s := range d.quickest {
		if s > 4 {
			t.Errorf("with accident %d everybody waited %.1f s for the machine", kind, s)
		}
	}
	if len(d.quickest) < int(accidents)/2 {
		t.Error("too few saw what they waited")
	}
	if d.killed < kills/2 || d.lost == 0 || d.aside == 0 || d.wrong == 0 {
		t.Error("too little went wrong")
	}
}

// agree holds each key against the store: one live credential with the very secret, one holder, one receipt.
func (d *deskDay) agree(people int) {
	d.t.Helper()
	st := d.store()
	open, err := st.Open(d.t.Context())
	if err != nil || len(open) != 0 {
		d.t.Fatalf("%d writes are open, %v", len(open), err)
	}
	for i := range people {
		k := d.ring.keys[fmt.Sprintf("k%02d", i)]
		have, live, err := st.Slots(d.t.Context(), token.Serial(k.Serial()))
		if err != nil || len(live) != 1 || have.Holder == nil || have.Holder.Account != account(i) || have.State != token.Active {
			d.t.Fatalf("key %d: %+v, %d live, %v", i, have, len(live), err)
		}
		s := live[0].Secrets
		if !k.Holds(2, append(slices.Clone(s.Key.Reveal()), s.PrivateID.Reveal()...)) || !k.HoldsAccessCode(2, [6]byte(s.AccessCode.Reveal())) {
			d.t.Fatalf("key %d: the slot holds another secret than the store", i)
		}
		receipts, err := st.Receipts(d.t.Context(), desk.ReceiptFilter{Token: have.ID}, 0)
		if err != nil || len(receipts) != 1 || receipts[0].IDCheck == "" {
			d.t.Fatalf("key %d: %d receipts, %v", i, len(receipts), err)
		}
	}
	all, err := st.Tokens(d.t.Context(), desk.Match{})
	held := 0
	for _, k := range all {
		if k.Holder != nil {
			held++
		}
	}
	if err != nil || held != people {
		d.t.Fatalf("%d keys are held by %d persons, %v", held, people, errors.Join(err))
	}
	d.rig.must("audit", "verify")
}
