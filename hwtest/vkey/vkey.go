// Package vkey is a virtual YubiKey: what a real one does behind its OTP interface, as far as a host can see it.
//
// A Key takes and gives 8-byte feature reports, holds two slots, types on its keyboard when it is touched, and forgets
// its session when it is unplugged. It decodes frames, configurations and tickets by itself, from reference
// yubikey-otp.md §1 to §4, §7.2 and §9 alone, and imports nothing of ykslot: a mistake there cannot hide here.
//
//	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
//	conn, err := k.Open() // a usbhid.Device
//	...                   // program slot 1
//	k.Touch(1)            // conn.ReadInput now returns what the key types
//
// Reading order: vkey.go (a key and its power), profile.go and quirk.go (what firmware differs in), report.go (the state
// machine of §9.3), command.go and write.go (what slot commands do), config.go (the 52 bytes), ticket.go, typing.go,
// touch.go and challenge.go (what a slot does), deviceconfig.go and info.go (the device itself), conn.go (the host's
// handle), card.go with its applets otpapplet.go, management.go and tag.go (the smart card), cardwait.go (what applets of
// other packages need; oathapplet is one), faults.go (what can go wrong on demand), slots.go (what a test may look at).
//
// Not done: FIDO, 1.x behaviour.
package vkey

import (
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// VendorID is Yubico's, reference yubikey-otp.md §1.1.
const VendorID = 0x1050

// Options are what differs between two keys of one profile. The zero value is a key without serial on the real clock.
type Options struct {
	// Serial is the serial number; 0 is a key that has none.
	Serial uint32
	// HideSerial keeps the serial hidden whatever the slots' flags say.
	HideSerial bool
	// Rand gives 3 bytes at power-up (the timestamp, little endian) and 2 per ticket (the random field, as they stand in
	// it); nil is crypto/rand. Once it fails, it counts as zeros.
	Rand io.Reader
	// Now is the clock of timestamps, of Pace and of the wait for a touch; nil is time.Now.
	Now func() time.Time
	// Pace is how long an accepted write keeps flag 80 up; zero is not at all.
	Pace Pace
	// Latch is how long the key needs to take in a part: one that comes sooner after the last is lost (§1.5: about
	// 0.4 ms on real keys). Zero loses nothing.
	Latch time.Duration
	// Reclaim is how long the OTP interface ignores frames after the card was used over USB (§1.7: about 3 s on NEO, 4
	// and 5). Zero is not at all.
	Reclaim time.Duration
	// PINComplexity is a key that was ordered so: from firmware 5.7 on it refuses PINs that are too simple (§7.2, tag 16).
	PINComplexity bool
}

// Pace says how long a key is busy, in reads or in time, whichever ends later.
type Pace struct {
	Reads int
	Time  time.Duration
}

// Key is one virtual YubiKey. All methods are safe for concurrent use. It starts plugged in, with both slots empty.
type Key struct {
	cardMu sync.Mutex // one command of the card at a time; locked before mu
	mu     sync.Mutex
	opts   Options

	// What survives a power cycle.
	profile  Profile
	slots    [2]slot
	ndef     [2][]byte
	ndefSlot int // whose record the radio shows
	scanMap  [scanMapLen]byte
	deviceConfig

	// One power-up.
	plugged   bool
	gone      chan struct{} // closed when this power-up ends
	back      chan struct{} // closed when the next one starts; nil while nobody asked
	since     time.Time
	stamp     uint32 // timestamp at power-up, 24 bits
	progSeq   byte
	shownSeq  byte // as the OTP interface of a key with StaleSequence shows it
	iSerial   string
	cards     [3]cardState // see Card, NFC, Beside
	applets   []Applet
	cardUsed  time.Time // over USB; zero: not in this power-up
	cardWrote bool
	cardWait  chan struct{}   // closed by the touch that a command of the card waits for; nil: none does
	touchHook func() bool     // OnTouchWait
	rebooting bool            // as soon as the host has seen that a write was accepted
	manual    time.Time       // when the touch was that lets the next one draw a password; zero: none
	pauses    []time.Duration // of the last touch

	// The report state machine (report.go).
	rx        [frameLen]byte
	lastPart  time.Time
	response  []usbhid.Report
	wait      *touchWait
	before    usbhid.Report // status before the last accepted write
	busyReads int
	busyUntil time.Time
	stale     int

	// The host's side.
	conn        *Conn
	subscriber  func(usbhid.Report)
	typed       []usbhid.Report
	gets, sets  int
	lastCommand byte
	lastData    payload
	faults      Faults
	faultSeen   faultCount
}

// New returns a key that has just been plugged in.
func New(p Profile, o Options) *Key {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Key{opts: o, profile: p, scanMap: defaultScanMap}
	k.deviceConfig = newDeviceConfig(p)
	k.applets = []Applet{&otpApplet{k}, &management{k}, &tag{k: k}}
	k.powerUp()
	return k
}

// Profile returns the key's profile, with the PID it has now.
func (k *Key) Profile() Profile {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.profile
}

// USB is what a key tells about itself in its device descriptor, reference yubikey-otp.md §1.2.
type USB struct {
	PID       uint16
	BCDDevice uint16 // firmware as BCD: 0543 for 5.4.3
	Product   string
	Serial    string // iSerial: empty unless a slot has SERIAL_USB_VISIBLE since power-up
}

// USB returns the device descriptor's contents as of this power-up.
func (k *Key) USB() USB {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.profile.Version
	return USB{
		PID:       k.profile.PID,
		BCDDevice: uint16(v.Major)<<8 | uint16(v.Minor)<<4 | uint16(v.Build),
		Product:   k.profile.product(),
		Serial:    k.iSerial,
	}
}

// Serial returns the number the key was made with, visible or not.
func (k *Key) Serial() uint32 { return k.opts.Serial }

// PINComplexity says whether the key refuses PINs that are too simple. It needs no lock: an applet may ask.
func (k *Key) PINComplexity() bool {
	return k.opts.PINComplexity && !k.profile.Version.Less(pagedFrom)
}

// Unplug pulls the key out: every open Conn and every report fails with usbhid.ErrGone until Plug.
func (k *Key) Unplug() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unplug()
}

// Plug puts an unplugged key back: a new power-up. A key that is plugged in stays as it is.
func (k *Key) Plug() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.plugged {
		k.powerUp()
	}
}

// PowerCycle unplugs the key and plugs it in again.
func (k *Key) PowerCycle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unplug()
	k.powerUp()
}

// Gone returns a channel that is closed when the present power-up ends; it is closed already while unplugged.
func (k *Key) Gone() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gone
}

// Back returns a channel that is closed when the next power-up starts.
func (k *Key) Back() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.back == nil {
		k.back = make(chan struct{})
	}
	return k.back
}

// Transfers returns how many reports were read and written since New or ResetTransfers, stalled and lost ones included.
func (k *Key) Transfers() (gets, sets int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gets, k.sets
}

// ResetTransfers sets both counts to 0.
func (k *Key) ResetTransfers() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gets, k.sets = 0, 0
}

func (k *Key) unplug() {
	if !k.plugged {
		return
	}
	k.plugged = false
	k.conn, k.cardWait = nil, nil
	close(k.gone)
}

// powerUp starts a power-up: sessions, ProgSeq and the report state are new, slots and counters stay (§1.6, §4.1).
func (k *Key) powerUp() {
	k.plugged = true
	k.gone = make(chan struct{})
	if k.back != nil {
		close(k.back)
		k.back = nil
	}
	if k.nextUSB != k.usb {
		k.usb = k.nextUSB
		k.profile.PID = k.profile.pidOf(interfacesOf(k.usb))
	}
	k.since = k.opts.Now()
	r := k.random(3)
	k.stamp = uint32(r[0]) | uint32(r[1])<<8 | uint32(r[2])<<16
	k.progSeq, k.shownSeq = 0, 0
	if k.anyConfigured() {
		k.progSeq = 1
	}
	k.iSerial = ""
	if k.extFlag(extSerialUSB) && k.opts.Serial != 0 && !k.opts.HideSerial {
		k.iSerial = fmt.Sprintf("%010d", k.opts.Serial)
	}
	for i := range k.slots {
		k.slots[i].used, k.slots[i].session = false, 0
	}
	k.rx, k.lastPart = [frameLen]byte{}, time.Time{}
	k.response, k.wait = nil, nil
	k.busyReads, k.busyUntil, k.stale = 0, time.Time{}, 0
	k.cards = [3]cardState{}
	k.cardUsed, k.cardWrote, k.rebooting = time.Time{}, false, false
	k.manual, k.pauses = time.Time{}, nil
}

// random draws n bytes; a reader that fails counts as zeros, so that a test's short script of bytes is enough.
func (k *Key) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(k.opts.Rand, b); err != nil {
		clear(b)
	}
	return b
}

func (k *Key) anyConfigured() bool { return k.slots[0].configured() || k.slots[1].configured() }

// extFlag says whether a configured slot has the flag: serial and LED flags of either slot apply to the key (§3.2).
func (k *Key) extFlag(flag byte) bool {
	return (k.slots[0].cfg.ext|k.slots[1].cfg.ext)&k.profile.extKnown()&flag != 0
}
