package pivapplet

import (
	"bytes"
	"crypto/subtle"
	"strings"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// The factory's PIN, PUK and tries, reference yubikey-otp.md §8.
const (
	FactoryPIN   = "123456"
	FactoryPUK   = "12345678"
	factoryTries = 3

	// minPIN is the shortest a YubiKey takes; the standard's PIN has 6 to 8 bytes, padded with FF to 8.
	minPIN, maxPIN = 6, 8
	pinPadding     = 0xff
	// maxShown is the most that a status word tells.
	maxShown = 15

	refPIN = 0x80 // P2
	refPUK = 0x81
	// logOut is the P1 of VERIFY without data that ends what VERIFY began, SP 800-73-4 part 2 §3.2.1.
	logOut = 0xff
)

// reference is the PIN or the PUK.
type reference struct {
	value       [maxPIN]byte // padded
	left, total int
	factory     string
}

func padded(s string) (p [maxPIN]byte) {
	for i := copy(p[:], s); i < len(p); i++ {
		p[i] = pinPadding
	}
	return p
}

func newReference(factory string, tries int) reference {
	return reference{value: padded(factory), left: tries, total: tries, factory: factory}
}

// try compares; a wrong one costs a try, the right one gives all back. It is swBlocked without a try left.
func (r *reference) try(given []byte) uint16 {
	if r.left == 0 {
		return swBlocked
	}
	if subtle.ConstantTimeCompare(r.value[:], given) != 1 {
		r.left--
		return r.tries()
	}
	r.left = r.total
	return vkey.SWSuccess
}

// tries is the status word that says how many are left.
func (r *reference) tries() uint16 { return swTries | uint16(min(r.left, maxShown)) }

// verify is VERIFY: with 8 bytes it tries the PIN, without any it says whether the PIN is verified, or how many tries are
// left. 6983 is a PIN that was blocked before; the try that blocks it says 63c0.
func (a *Applet) verify(s *session, c vkey.APDU) ([]byte, uint16) {
	switch {
	case c.P2 != refPIN:
		return nil, swNoReference
	case c.P1 == logOut && len(c.Data) == 0:
		s.pin = false
		return nil, vkey.SWSuccess
	case c.P1 != 0:
		return nil, swWrongP1P2
	case len(c.Data) == 0 && s.pin:
		return nil, vkey.SWSuccess
	case len(c.Data) == 0 && a.pin.left == 0:
		return nil, swBlocked
	case len(c.Data) == 0:
		return nil, a.pin.tries()
	case len(c.Data) != maxPIN:
		return nil, vkey.SWWrongData
	}
	sw := a.tryPIN(s, c.Data)
	s.pin = sw == vkey.SWSuccess
	s.fresh = s.pin
	return nil, sw
}

// tryPIN counts.
func (a *Applet) tryPIN(s *session, given []byte) uint16 {
	sw := a.pin.try(given)
	a.counts.PINTried++
	if sw != vkey.SWSuccess {
		a.counts.PINWrong++
		s.pin = false
	}
	return sw
}

func (a *Applet) tryPUK(given []byte) uint16 {
	sw := a.puk.try(given)
	a.counts.PUKTried++
	if sw != vkey.SWSuccess {
		a.counts.PUKWrong++
	}
	return sw
}

// change is CHANGE REFERENCE DATA: the old one and the new one, 8 bytes each. The old one is tried first, also when the new
// one is of no use; the PIN has to be verified anew.
func (a *Applet) change(s *session, c vkey.APDU) ([]byte, uint16) {
	if c.P1 != 0 {
		return nil, swWrongP1P2
	}
	if c.P2 != refPIN && c.P2 != refPUK {
		return nil, swNoReference
	}
	if len(c.Data) != 2*maxPIN {
		return nil, vkey.SWWrongData
	}
	old, fresh := c.Data[:maxPIN], c.Data[maxPIN:]
	if c.P2 == refPUK {
		if sw := a.tryPUK(old); sw != vkey.SWSuccess {
			return nil, sw
		}
		return nil, a.replace(&a.puk, fresh)
	}
	if sw := a.tryPIN(s, old); sw != vkey.SWSuccess {
		return nil, sw
	}
	s.pin = false
	return nil, a.replace(&a.pin, fresh)
}

// unblock is RESET RETRY COUNTER: the PUK and a new PIN.
func (a *Applet) unblock(s *session, c vkey.APDU) ([]byte, uint16) {
	if c.P1 != 0 {
		return nil, swWrongP1P2
	}
	if c.P2 != refPIN {
		return nil, swNoReference
	}
	if len(c.Data) != 2*maxPIN {
		return nil, vkey.SWWrongData
	}
	if sw := a.tryPUK(c.Data[:maxPIN]); sw != vkey.SWSuccess {
		return nil, sw
	}
	sw := a.replace(&a.pin, c.Data[maxPIN:])
	if sw == vkey.SWSuccess {
		s.pin = false
		a.pin.left = a.pin.total
	}
	return nil, sw
}

// replace sets a new value: 6a80 for one of a wrong length, 6985 for one that is too simple for the key. From 5.7 on a PIN's
// length is in characters, not in bytes, and a PUK is ASCII (Yubico's documentation of CHANGE REFERENCE DATA and of the 5.7 firmware).
func (a *Applet) replace(r *reference, value []byte) uint16 {
	plain := bytes.TrimRight(value, "\xff")
	length := len(plain)
	if a.since(5, 7) {
		length = utf8.RuneCount(plain)
		if r == &a.puk && length != len(plain) {
			return vkey.SWWrongData
		}
	}
	if length < minPIN || bytes.IndexByte(plain, pinPadding) >= 0 {
		return vkey.SWWrongData
	}
	if a.key.PINComplexity() && simple(string(plain)) {
		return vkey.SWConditions
	}
	copy(r.value[:], value)
	return vkey.SWSuccess
}

// simple is what firmware 5.7 with complexity refuses: one character alone, and what is on its list, of which this is a part (Yubico's
// documentation of the 5.7 firmware, "PIN complexity").
func simple(s string) bool {
	if strings.Count(s, s[:1]) == len(s) {
		return true
	}
	for _, known := range [...]string{
		"123456", "123123", "654321", "123321", "112233", "121212", "520520", "123654", "159753",
		"12345678", "1234567", "87654321", "password", "qwerty", "abc123",
	} {
		if s == known {
			return true
		}
	}
	return false
}

// setRetries is Yubico's FA: tries of PIN (P1) and PUK (P2), 1 to 255. It needs the management key and the PIN, and puts PIN
// and PUK back to the factory's.
func (a *Applet) setRetries(s *session, c vkey.APDU) ([]byte, uint16) {
	if !s.admin || !s.pin {
		return nil, vkey.SWSecurity
	}
	if c.P1 == 0 || c.P2 == 0 {
		return nil, swWrongP1P2
	}
	s.pin = false
	a.pin, a.puk = newReference(FactoryPIN, int(c.P1)), newReference(FactoryPUK, int(c.P2))
	return nil, vkey.SWSuccess
}

// reset is Yubico's FB: everything but the attestation key as from the factory; PIN and PUK must be blocked, or it is 6985.
func (a *Applet) reset(*session, vkey.APDU) ([]byte, uint16) {
	if a.pin.left > 0 || a.puk.left > 0 {
		return nil, vkey.SWConditions
	}
	a.counts.Resets++
	a.factory()
	return nil, vkey.SWSuccess
}

// factory is how the application is sold; the attestation key and its certificate stay.
func (a *Applet) factory() {
	a.pin, a.puk = newReference(FactoryPIN, factoryTries), newReference(FactoryPUK, factoryTries)
	a.management = a.factoryManagementKey()
	for slot := range a.keys {
		if slot != slotAttestation {
			delete(a.keys, slot)
		}
	}
	for id := range a.objects {
		if id != objectAttestation {
			delete(a.objects, id)
		}
	}
	a.sessions = [2]session{}
}
