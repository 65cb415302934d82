package pivapplet

import (
	"bytes"
	"crypto"
)

// Counts are what hosts did since Install or ResetCounts.
type Counts struct {
	PINTried, PINWrong               int // by VERIFY, CHANGE REFERENCE and what else takes the PIN, blocked ones included
	PUKTried, PUKWrong               int
	ManagementTried, ManagementWrong int
	Generated                        int // keys
	Used                             int // keys, by GENERAL AUTHENTICATE, that worked
	Resets                           int
}

// Counts returns what hosts did: how many tries they burned.
func (a *Applet) Counts() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts
}

// ResetCounts sets all counts to 0.
func (a *Applet) ResetCounts() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts = Counts{}
}

// Tries returns the tries that are left.
func (a *Applet) Tries() (pin, puk int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pin.left, a.puk.left
}

// Burn leaves so many tries, as strangers' mistakes would; none blocks.
func (a *Applet) Burn(pin, puk int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pin.left, a.puk.left = min(pin, a.pin.total), min(puk, a.puk.total)
}

// HoldsPIN says whether this is the PIN; it costs no try.
func (a *Applet) HoldsPIN(pin string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(pin) <= maxPIN && a.pin.value == padded(pin)
}

// HoldsPUK says whether this is the PUK; it costs no try.
func (a *Applet) HoldsPUK(puk string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(puk) <= maxPIN && a.puk.value == padded(puk)
}

// HoldsManagementKey says whether this is the management key.
func (a *Applet) HoldsManagementKey(alg Algorithm, value []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.management.alg == alg && bytes.Equal(a.management.value, value)
}

// Slot is what is in a slot.
type Slot struct {
	Algorithm  Algorithm
	PIN, Touch byte // policies
	Generated  bool
	Public     crypto.PublicKey
}

// Slot returns what is in a slot; ok is false for an empty one.
func (a *Applet) Slot(slot byte) (s Slot, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.keys[slot]
	if k == nil {
		return Slot{}, false
	}
	return Slot{k.alg, k.pin, k.touch, k.generated, k.public()}, true
}

// Object returns what is in a data object, nil for nothing.
func (a *Applet) Object(id uint32) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bytes.Clone(a.objects[id])
}

// When is the moment of a fault.
type When int

// The moments. The zero value is no fault.
const (
	_ When = iota
	// Before the command has its effect.
	Before
	// After it had its effect, and before the host hears of it.
	After
)

// Kind is what happens.
type Kind int

// The kinds.
const (
	// Refuse answers SW.
	Refuse Kind = iota
	// Hang answers nothing until the key is pulled out.
	Hang
	// Leave pulls the key out.
	Leave
)

// Fault goes wrong on demand, once.
type Fault struct {
	// INS and Nth say which command: the n-th with the instruction, counted from SetFault and from 1; INS 0 is any.
	INS  byte
	Nth  int
	When When
	Kind Kind
	// SW is what Refuse answers; 0 is 6f00.
	SW uint16
}

const swNoDiagnosis = 0x6f00

// SetFault arms a fault, in place of the one before; the zero Fault disarms.
func (a *Applet) SetFault(f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = f
}

// due counts a command and says when it has to fail.
func (a *Applet) due(ins byte) When {
	f := &a.fault
	if f.When == 0 || f.INS != 0 && f.INS != ins {
		return 0
	}
	if f.Nth--; f.Nth != 0 {
		return 0
	}
	when := f.When
	f.When = 0
	return when
}

// strike carries the fault out.
func (a *Applet) strike(now bool) (data []byte, sw uint16, ok bool) {
	if !now {
		return nil, 0, false
	}
	switch a.fault.Kind {
	case Hang:
		a.mu.Unlock()
		a.key.Hang()
		a.mu.Lock()
	case Leave:
		a.key.Leave()
	}
	if a.fault.SW == 0 {
		return nil, swNoDiagnosis, true
	}
	return nil, a.fault.SW, true
}
