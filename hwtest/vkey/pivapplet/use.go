package pivapplet

import (
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

const (
	// touchTime is how long the card waits for a finger, and cacheTime how long one that came counts, reference
	// yubikey-otp.md §8.
	touchTime = 15 * time.Second
	cacheTime = 15 * time.Second
)

// use is GENERAL AUTHENTICATE: P1 is the algorithm, P2 the key; 7C holds an empty 82, and 81 with what is signed or decrypted or 85
// with a point to agree with. A slot without a key, and one with a key of another algorithm, are 6a80; a policy that is not met is 6982.
func (a *Applet) use(s *session, c vkey.APDU) ([]byte, uint16) {
	if c.P2 == slotManagement {
		return a.authenticate(s, c)
	}
	if !a.has(c.P2) || c.P2 == slotAttestation {
		return nil, swWrongP1P2
	}
	k := a.keys[c.P2]
	outer, ok := parse(c.Data)
	if !ok || k == nil || k.alg != Algorithm(c.P1) {
		return nil, vkey.SWWrongData
	}
	items, ok := parse(find(outer, tagDynamic))
	if !ok || find(items, tagResponse) == nil {
		return nil, vkey.SWWrongData
	}
	if k.pin == pinOnce && !s.pin || k.pin == pinAlways && !s.fresh {
		return nil, vkey.SWSecurity
	}
	result, sw := k.compute(find(items, tagChallenge), find(items, tagPoint))
	if sw != vkey.SWSuccess {
		return nil, sw
	}
	if !a.awaitTouch(k.touch) {
		return nil, vkey.SWSecurity
	}
	a.counts.Used++
	return dynamic(tagResponse, result), vkey.SWSuccess
}

// awaitTouch waits for the touch that a policy wants; false: none came.
func (a *Applet) awaitTouch(policy byte) bool {
	if policy == touchNever {
		return true
	}
	if policy == touchCached && !a.touched.IsZero() && a.opts.Now().Sub(a.touched) < cacheTime {
		return true
	}
	a.mu.Unlock() // who touches may look at the counts first
	came := a.key.AwaitTouch(touchTime)
	a.mu.Lock()
	if came {
		a.touched = a.opts.Now()
	}
	return came
}
