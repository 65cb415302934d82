package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/socket"
	"github.com/tokendesk/tokendesk/usbhid"
)

// keyring holds the virtual keys of one script in the test's process, so that they survive the program, however it ends.
// Each key has a description NAME.json and three sockets in dir: NAME.key gives the device, NAME.card its smart card, NAME.touch takes
// "touch SLOT".
type keyring struct {
	dir    string
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	keys   map[string]*vkey.Key
	held   map[string]*vkey.Conn
	found  map[string]plugged
	last   int // address
}

const keyringName = "keyring"

// plugged is a key as the program finds it.
type plugged struct {
	Path    string
	PID     uint16
	Product string
	Denied  string // a node that the user may not open
	Driver  string
	Stray   bool   // a touch types into the desktop, too
	Maker   string // who certified it; "": who certifies virtual keys
	Address int    // on its bus: another one after each insertion
}

func newKeyring() (*keyring, error) {
	dir, err := os.MkdirTemp("", "keys") // short: the path of a Unix socket has 107 bytes at most
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &keyring{dir: dir, ctx: ctx, cancel: cancel, keys: map[string]*vkey.Key{}, held: map[string]*vkey.Conn{}, found: map[string]plugged{}}, nil
}

func (r *keyring) close() {
	for _, k := range r.keys {
		k.Unplug() // or a card that hangs would for ever
	}
	r.cancel()
	r.work.Wait()
	_ = os.RemoveAll(r.dir) // a temporary directory
}

// plug serves a key under a name.
func (r *keyring) plug(name string, k *vkey.Key, p plugged) error {
	r.keys[name] = k
	u := k.USB()
	p.Path, p.PID, p.Product = name, u.PID, u.Product
	device, err := net.Listen("unix", filepath.Join(r.dir, name+".key"))
	if err != nil {
		return err
	}
	card, err := net.Listen("unix", filepath.Join(r.dir, name+".card"))
	if err != nil {
		return err
	}
	touches, err := net.Listen("unix", filepath.Join(r.dir, name+".touch"))
	if err != nil {
		return err
	}
	r.work.Go(func() { _ = socket.Serve(r.ctx, device, k) }) // ends with ctx
	r.work.Go(func() { _ = socket.ServeCard(r.ctx, card, k) })
	context.AfterFunc(r.ctx, func() { _ = touches.Close() })
	r.work.Go(func() { serveTouches(touches, k) })
	r.found[name] = p
	return r.insert(name)
}

// insert shows a key to programs, under a new address; one that was pulled is powered again.
func (r *keyring) insert(name string) error {
	r.keys[name].Plug()
	p := r.found[name]
	r.last++
	p.Address = r.last
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, name+".json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path) // whole, for who looks at this moment
}

// pull unplugs a key; insert brings it back.
func (r *keyring) pull(name string) error {
	r.keys[name].Unplug()
	return os.Remove(filepath.Join(r.dir, name+".json"))
}

// serveTouches reads slot numbers, one a connection, touches and hangs up.
func serveTouches(l net.Listener, k *vkey.Key) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if slot, nerr := strconv.Atoi(strings.TrimSpace(line)); err == nil && nerr == nil {
			k.Touch(slot)
		}
		_ = c.Close()
	}
}

// one is the key of that name, or the only one for "".
func (r *keyring) one(name string) (*vkey.Key, error) {
	if k, ok := r.keys[name]; ok {
		return k, nil
	}
	if name == "" && len(r.keys) == 1 {
		for _, k := range r.keys {
			return k, nil
		}
	}
	return nil, fmt.Errorf("no key %q", name)
}

// parsePlug reads the arguments of `key plug NAME …`.
func parsePlug(args []string) (vkey.Profile, vkey.Options, plugged, error) {
	profile, options, p := vkey.YubiKey543, vkey.Options{Serial: 7654321}, plugged{Driver: "usbhid"}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "serial":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return profile, options, p, err
			}
			options.Serial = uint32(n)
		case "hidden":
			options.HideSerial = true
		case "firmware":
			found := false
			for _, f := range vkey.Profiles() {
				if f.Version.String() == value {
					profile, found = f, true
				}
			}
			if !found {
				return profile, options, p, fmt.Errorf("no profile with firmware %s", value)
			}
		case "pid":
			n, err := strconv.ParseUint(value, 16, 16)
			if err != nil {
				return profile, options, p, err
			}
			profile = profile.WithPID(uint16(n))
		case "denied":
			p.Denied = value
		case "stray":
			p.Stray = true
		case "driver":
			p.Driver = value
		case "maker":
			p.Maker = value
		default:
			return profile, options, p, fmt.Errorf("unknown argument %q", a)
		}
	}
	return profile, options, p, nil
}

// foreign writes something into a slot that no store knows: a static ticket's configuration as ykpersonalize writes it.
func foreign(k *vkey.Key, slot int) error {
	if err := released(k); err != nil {
		return err
	}
	c, err := k.Open()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return writeForeign(context.Background(), c, slot)
}

var errNoKey = errors.New("no such key")

func (r *keyring) hold(name string) error {
	k, ok := r.keys[name]
	if !ok {
		return errNoKey
	}
	if err := released(k); err != nil {
		return err
	}
	c, err := k.Open()
	r.held[name] = c
	return err
}

// faultOf reads NAME=N of `key fault`.
func faultOf(args []string) (f vkey.Faults, err error) {
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		n, err := strconv.Atoi(value)
		if err != nil {
			return f, err
		}
		switch name {
		case "unplug-after":
			f.UnplugAfter = n
		case "stall":
			f.StallReport = n
		case "lose-set":
			f.LoseSet = n
		case "stale-status":
			f.StaleStatus = n
		default:
			return f, fmt.Errorf("unknown fault %q", name)
		}
	}
	return f, nil
}

var _ usbhid.Device = (*socket.Conn)(nil)
