// Package pivapplet is the PIV application of a virtual YubiKey: PIN, PUK and management key with their tries, keys that are
// made and used on the card, data objects, and attestation down to a test root.
//
// It is written from reference yubikey-otp.md §8, NIST SP 800-73-4 part 2 and what ykman, yubico-piv-tool, OpenSC and piv-go
// send, and imports nothing of ykslot or provision: a mistake there cannot hide here. Where neither says what a YubiKey answers, the
// answer is a choice, and the comment beside it says so.
//
//	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
//	piv := pivapplet.Install(k, pivapplet.Options{})
//	...                    // a host at work
//	piv.Counts().PINWrong  // wrong PINs that it burned
//
// Reading order: pivapplet.go (commands), pin.go (PIN, PUK, retries, reset), management.go (the management key), algorithm.go and
// keys.go (slots and what is in them), use.go (sign, decrypt, agree; policies), objects.go (data), attest.go and ca.go
// (attestation), metadata.go, inspect.go (what a test may look at, and faults), tlv.go.
//
// Not done: secure messaging, the global PIN, biometrics, FIPS mode.
package pivapplet

import (
	"crypto"
	"crypto/rand"
	"io"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// Options are what differs between two applets. The zero value is one from the factory, whose attestation leads to TestCA. The functions
// are called with the key locked: they must not call it, nor its applet.
type Options struct {
	// Rand gives challenges and serial numbers of certificates; nil is crypto/rand.
	Rand io.Reader
	// Now is the clock of the cached touch; nil is time.Now.
	Now func() time.Time
	// NewKey gives the next key that is "generated on the card", so that a test with RSA need not wait: *rsa.PrivateKey,
	// *ecdsa.PrivateKey, ed25519.PrivateKey or *ecdh.PrivateKey (X25519). Where it is nil, or returns nil, one is drawn.
	NewKey func(Algorithm) crypto.PrivateKey
	// CA signed the attestation key's certificate; nil is TestCA. Firmware before 4.3 has neither.
	CA *CA
	// Forge changes the certificate that attests a key before it is signed: what a counterfeit could say.
	Forge func(*Attested)
}

// Applet is the PIV application of one key. All exported methods but those of vkey.Applet are safe for concurrent use.
type Applet struct {
	key     *vkey.Key
	profile vkey.Profile
	serial  uint32
	opts    Options

	mu         sync.Mutex
	pin, puk   reference
	management managementKey
	keys       map[byte]*key
	objects    map[uint32][]byte
	touched    time.Time // the touch that is cached; zero: none
	sessions   [2]session
	counts     Counts
	fault      Fault
}

// session is what a SELECT begins.
type session struct {
	pin   bool // verified
	fresh bool // verified by the command before this one
	admin bool // the management key was proven
	// What the card gave out and waits for the answer to: its own random block, and whether it wants that back decrypted
	// (mutual) or encrypted (single).
	block  []byte
	mutual bool
}

var (
	_ vkey.Applet  = (*Applet)(nil)
	_ vkey.Capable = (*Applet)(nil)
)

// Install adds the application to a key.
func Install(k *vkey.Key, o Options) *Applet {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CA == nil {
		o.CA = TestCA()
	}
	a := &Applet{key: k, profile: k.Profile(), serial: k.Serial(), opts: o}
	a.keys, a.objects = map[byte]*key{}, map[uint32][]byte{}
	a.factory()
	a.certify()
	k.Install(a)
	return a
}

// Of is the application that Install gave a key; nil: none.
func Of(k *vkey.Key) *Applet { return vkey.Installed[*Applet](k) }

const (
	aid = "\xa0\x00\x00\x03\x08"
	// capPIV is the bit of device info, reference yubikey-otp.md §7.2.
	capPIV = 0x10
	// property is the answer to SELECT: the PIX of the application and the AID of its authority, SP 800-73-4 part 2 §3.1.1.
	property = "\x61\x11\x4f\x06\x00\x00\x10\x00\x01\x00\x79\x07\x4f\x05\xa0\x00\x00\x03\x08"
)

// Instructions, reference yubikey-otp.md §8.
const (
	insVerify      = 0x20
	insChange      = 0x24
	insResetRetry  = 0x2c
	insGenerate    = 0x47
	insUse         = 0x87 // GENERAL AUTHENTICATE
	insGetData     = 0xcb
	insPutData     = 0xdb
	insMove        = 0xf6
	insMetadata    = 0xf7
	insSerial      = 0xf8
	insAttest      = 0xf9
	insRetries     = 0xfa
	insReset       = 0xfb
	insVersion     = 0xfd
	insImport      = 0xfe
	insSetManagKey = 0xff
)

// Status words beside those of vkey.
const (
	swTries       = 0x63c0 // and how many are left, 15 for more
	swBlocked     = 0x6983
	swFull        = 0x6a84
	swWrongP1P2   = 0x6a86
	swNoReference = 0x6a88
)

// AID implements vkey.Applet.
func (*Applet) AID() []byte { return []byte(aid) }

// Capability implements vkey.Capable.
func (*Applet) Capability() uint16 { return capPIV }

// Select implements vkey.Applet: whatever was proven before is forgotten.
func (a *Applet) Select(by vkey.Transport) ([]byte, uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[by] = session{}
	return []byte(property), vkey.SWSuccess
}

// command is what runs an instruction.
type command struct {
	from vkey.Version // the first firmware that has it
	run  func(*Applet, *session, vkey.APDU) ([]byte, uint16)
}

// commands are the instructions and who has them, reference yubikey-otp.md §8.
func commands(ins byte) command {
	switch ins {
	case insVerify:
		return command{run: (*Applet).verify}
	case insChange:
		return command{run: (*Applet).change}
	case insResetRetry:
		return command{run: (*Applet).unblock}
	case insGenerate:
		return command{run: (*Applet).generate}
	case insUse:
		return command{run: (*Applet).use}
	case insGetData:
		return command{run: (*Applet).getData}
	case insPutData:
		return command{run: (*Applet).putData}
	case insMove:
		return command{vkey.Version{Major: 5, Minor: 7}, (*Applet).move}
	case insMetadata:
		return command{vkey.Version{Major: 5, Minor: 3}, (*Applet).metadata}
	case insSerial:
		return command{vkey.Version{Major: 5}, (*Applet).readSerial}
	case insAttest:
		return command{attestsFrom, (*Applet).attest}
	case insRetries:
		return command{run: (*Applet).setRetries}
	case insReset:
		return command{run: (*Applet).reset}
	case insVersion:
		return command{run: (*Applet).version}
	case insImport:
		return command{run: (*Applet).importKey}
	case insSetManagKey:
		return command{run: (*Applet).setManagementKey}
	}
	return command{}
}

// Run implements vkey.Applet.
func (a *Applet) Run(by vkey.Transport, c vkey.APDU) ([]byte, uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.sessions[by]
	do := commands(c.INS)
	if do.run == nil || a.profile.Version.Less(do.from) {
		return nil, vkey.SWNoInstruction
	}
	when := a.due(c.INS)
	if data, sw, ok := a.strike(when == Before); ok {
		return data, sw
	}
	fresh := s.fresh
	data, sw := do.run(a, s, c)
	if fresh {
		s.fresh = false // it was for this command
	}
	if data, sw, ok := a.strike(when == After); ok {
		return data, sw
	}
	return data, sw
}

// version answers the firmware; a NEO has a version of its own (piv-go's Version says 1.0.x).
func (a *Applet) version(*session, vkey.APDU) ([]byte, uint16) {
	v := a.profile.Version
	if v.Major < 4 {
		v = vkey.Version{Major: 1, Minor: 0, Build: 4}
	}
	return []byte{v.Major, v.Minor, v.Build}, vkey.SWSuccess
}

// readSerial answers u32 big endian. A key without a serial number answers 6a88 (a choice).
func (a *Applet) readSerial(*session, vkey.APDU) ([]byte, uint16) {
	if a.serial == 0 {
		return nil, swNoReference
	}
	n := a.serial
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, vkey.SWSuccess
}

// since says whether the firmware is at least this one.
func (a *Applet) since(major, minor byte) bool {
	return !a.profile.Version.Less(vkey.Version{Major: major, Minor: minor})
}

// random draws n bytes; a reader that fails counts as zeros, as in vkey.
func (a *Applet) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(a.opts.Rand, b); err != nil {
		clear(b)
	}
	return b
}
