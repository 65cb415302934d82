package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/socket"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
	"github.com/tokendesk/tokendesk/ykslot"
)

// scriptBus is the program's side of a keyring. The variable TOUCH lists slots, such as "2 2": each wait for a touch is
// answered by the next of them; when they are used up, nobody touches.
type scriptBus struct{ dir string }

// untouched is how long a touch is waited for that does not come.
const untouched = 700 * time.Millisecond

func (b scriptBus) find() ([]usbhid.Attached, error) {
	names, err := filepath.Glob(filepath.Join(b.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []usbhid.Attached
	for _, n := range names {
		text, err := os.ReadFile(n)
		if errors.Is(err, fs.ErrNotExist) { // it was pulled out at this moment
			continue
		}
		if err != nil {
			return nil, err
		}
		var p plugged
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, err
		}
		m, _ := usbhid.ModelOf(p.PID)
		all = append(all, usbhid.Attached{Address: p.Address, Path: p.Path, Model: m, Product: p.Product, OTP: m.Interfaces.Has(usbhid.OTP), Driver: p.Driver, HIDRaw: p.Denied})
		if p.Stray {
			all[len(all)-1].Input = []string{"/dev/input/event7"}
		}
	}
	return all, nil
}

func (b scriptBus) watch(ctx context.Context, tick <-chan time.Time) iter.Seq2[usbhid.Event, error] {
	return func(yield func(usbhid.Event, error) bool) {
		known := map[string]usbhid.Attached{}
		for ctx.Err() == nil {
			all, err := b.find()
			if err != nil {
				yield(usbhid.Event{}, err)
				return
			}
			for _, e := range cameAndWent(known, all) {
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
			case <-tick:
			}
		}
	}
}

// cameAndWent are the removals and then the arrivals since the last look.
func cameAndWent(known map[string]usbhid.Attached, all []usbhid.Attached) (events []usbhid.Event) {
	for path, was := range known {
		if !slices.ContainsFunc(all, func(k usbhid.Attached) bool { return k.Path == path && k.Address == was.Address }) {
			delete(known, path)
			events = append(events, usbhid.Event{Key: was})
		}
	}
	for _, k := range all {
		if _, ok := known[k.Path]; !ok {
			known[k.Path] = k
			events = append(events, usbhid.Event{Arrived: true, Key: k})
		}
	}
	return events
}

func (b scriptBus) open(ctx context.Context, k usbhid.Attached, _ transport) (usbhid.Device, error) {
	if k.HIDRaw != "" {
		return nil, usbhid.Denied(k.HIDRaw)
	}
	c, err := socket.Dial(ctx, "unix", filepath.Join(b.dir, k.Path+".key"))
	if err != nil {
		return nil, err
	}
	return &scriptConn{Conn: c, grabbed: len(k.Input) == 0, touch: filepath.Join(b.dir, k.Path+".touch"), slots: strings.Fields(os.Getenv("TOUCH"))}, nil
}

func (b scriptBus) reattach() ([]usbfs.Reattached, error) {
	all, err := b.find()
	var done []usbfs.Reattached
	for _, k := range all {
		if k.Driver == "" {
			done = append(done, usbfs.Reattached{Key: k})
		}
	}
	return done, err
}

func (scriptBus) udevRule() (installed, needed bool) { return false, true }

// scriptConn asks the keyring for a touch when the program begins to wait for one.
type scriptConn struct {
	*socket.Conn
	touch   string
	slots   []string
	typing  bool
	waiting bool // a challenge is, for a touch
	grabbed bool
}

// Grabbed is as of hidraw's Device.
func (c *scriptConn) Grabbed() bool { return c.grabbed }

const enterKey = 0x28 // USB HID usage tables, page 7

func (c *scriptConn) ReadInput(ctx context.Context) (usbhid.Report, error) {
	switch {
	case c.typing:
	case len(c.slots) > 0:
		if err := c.askTouch(ctx); err != nil {
			return usbhid.Report{}, err
		}
		c.slots, c.typing = c.slots[1:], true
	case os.Getenv("TOUCH_WAIT") == "": // nobody touches it any more
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, untouched)
		defer cancel()
	}
	r, err := c.Conn.ReadInput(ctx)
	if r[2] == enterKey {
		c.typing = false
	}
	return r, err
}

// GetFeature touches the key too when a challenge waits for that.
func (c *scriptConn) GetFeature(ctx context.Context) (usbhid.Report, error) {
	const kinds, forTouch = 0xE0, 0x20 // reference yubikey-otp.md §1.5
	r, err := c.Conn.GetFeature(ctx)
	waits := err == nil && r[7]&kinds == forTouch
	if waits && !c.waiting && len(c.slots) > 0 {
		err = c.askTouch(ctx)
		c.slots = c.slots[1:]
	}
	c.waiting = waits
	return r, err
}

func (c *scriptConn) askTouch(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.touch)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(conn, c.slots[0])
	_ = conn.Close() // the answer is what the key types
	return err
}

// scriptKey is the script command `key`:
//
//	key plug NAME [serial=N] [hidden] [firmware=V] [pid=HEX] [denied=NODE] [driver=NAME] [stray] [maker=NAME]
//	key roots FILE              write the certificates of who certifies virtual keys
//	key pull NAME               unplug
//	key insert NAME             plug it in again
//	key cycle NAME              unplug and plug in again
//	key foreign NAME SLOT       write what no store knows
//	key lock NAME SLOT          put an unknown access code on the slot
//	key hold NAME / key free NAME   another program has it open
//	key fault NAME [unplug-after=N] [stall=N] [lose-set=N] [stale-status=N]
func scriptKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: key VERB NAME …")
	}
	if args[0] == "roots" {
		ca := pivapplet.TestCA()
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), append(ca.RootPEM(), ca.IntermediatePEM()...), 0o600))
		return
	}
	r := ts.Value(keyringName).(*keyring)
	ts.Check(r.do(args[0], args[1], args[2:]))
}

func (r *keyring) do(verb, name string, rest []string) error {
	if verb == "plug" {
		profile, options, p, err := parsePlug(rest)
		if err != nil {
			return err
		}
		k := vkey.New(profile, options)
		oathapplet.Install(k, oathapplet.Options{})
		made := pivapplet.Options{}
		if p.Maker != "" {
			made.CA = pivapplet.NewCA(p.Maker)
		}
		pivapplet.Install(k, made)
		k.OnTouchWait(func() bool { return false })
		return r.plug(name, k, p)
	}
	k, err := r.one(name)
	if err != nil {
		return err
	}
	slot := func() int {
		n, _ := strconv.Atoi(rest[0]) // 0 is refused by the key
		return n
	}
	switch verb {
	case "pull":
		return r.pull(name)
	case "insert":
		return r.insert(name)
	case "cycle":
		k.PowerCycle()
	case "foreign":
		return foreign(k, slot())
	case "lock":
		if !k.LockSlot(slot(), [6]byte{1, 2, 3, 4, 5, 6}) {
			return fmt.Errorf("slot %d is empty", slot())
		}
	case "hold":
		return r.hold(name)
	case "free":
		return r.held[name].Close()
	case "fault":
		f, err := faultOf(rest)
		if err != nil {
			return err
		}
		k.SetFaults(f)
	default:
		return fmt.Errorf("unknown verb %q", verb)
	}
	return nil
}

// scriptOTP is `otp NAME SLOT FILE`: touch the key while no program holds it, and write what it types.
func scriptOTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: otp NAME SLOT FILE")
	}
	r := ts.Value(keyringName).(*keyring)
	k, err := r.one(args[0])
	ts.Check(err)
	slot, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(released(k))
	_ = k.Typed() // a touch that a killed program had asked for may have come after its end
	if !k.Touch(slot) {
		ts.Fatalf("slot %d types nothing", slot)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(k.Typed()), 0o600))
}

// released waits until nobody holds the key: the socket of a program that has just ended is noticed a moment later, and what
// is typed meanwhile goes to that program.
func released(k *vkey.Key) error {
	for end := time.Now().Add(askTime); k.Held(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			return usbhid.ErrBusy
		}
	}
	return nil
}

// scriptCode is `code N PROGRAM ARGS…`: run it and want just that exit code. Its output is for stdout and stderr to look at,
// and of an error it must be one line that begins with the program's name, apart from indented hints.
func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d\n%s%s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
	lines := 0
	for line := range strings.Lines(ts.ReadFile("stderr")) {
		if strings.HasPrefix(line, "tokendesk: ") {
			lines++
		}
	}
	if want != 0 && lines != 1 {
		ts.Fatalf("%d error lines, want 1:\n%s", lines, ts.ReadFile("stderr"))
	}
}

// writeForeign programs a Yubico OTP that no store knows.
func writeForeign(ctx context.Context, dev usbhid.Device, slot int) error {
	s, err := ykslot.Open(ctx, dev, nil)
	if err != nil {
		return err
	}
	cfg, err := ykslot.YubicoOTP{
		PublicID: []byte{0, 0, 0, 0, 0, 1}, PrivateID: secret.Copy([]byte("abcdef")), Key: secret.Copy([]byte("not ours at all!")),
		Flags: ykslot.TypingFlags(s.Status().Version),
	}.Config()
	if err != nil {
		return err
	}
	return s.Write(ctx, ykslot.Slot(slot), cfg, secret.Bytes{})
}
