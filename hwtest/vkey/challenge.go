package vkey

import (
	"crypto/hmac"
	"crypto/sha1"
	"time"
)

// defaultTouchWait is how long a challenge waits for a touch, §1.6.
const defaultTouchWait = 15 * time.Second

// touchWait is a challenge that waits for a touch.
type touchWait struct {
	slot     int
	message  payload
	deadline time.Time
	reads    int // GETs that saw it waiting
}

// challenge runs commands 20, 28, 30 and 38. A slot of another kind, or a dormant one, gives no answer.
func (k *Key) challenge(i int, cmd byte, p *payload) {
	s := &k.slots[i]
	if !k.answers(s, cmd) {
		return
	}
	if s.cfg.cfg&cfgTouch != 0 {
		k.wait = &touchWait{slot: i, message: *p, deadline: k.opts.Now().Add(k.timeout)}
		return
	}
	k.answerChallenge(s, p)
}

// answers says whether the slot answers to the challenge command.
func (k *Key) answers(s *slot, cmd byte) bool {
	want := ChalHMAC
	if cmd == cmdYubico1 || cmd == cmdYubico2 {
		want = ChalYubico
	}
	return s.kind == want && k.awake(s)
}

func (k *Key) answerChallenge(s *slot, p *payload) {
	if data := k.solve(s, p); data != nil {
		k.respond(data)
	}
}

// solve is the response to a challenge, nil when the counters are used up.
func (k *Key) solve(s *slot, p *payload) []byte {
	if s.kind == ChalHMAC {
		return s.hmac(p)
	}
	// The clients disagree whether uid is the challenge or challenge XOR PrivateID (§3.9); both agree for PrivateID 0.
	uid := s.cfg.uid
	for i := range uid {
		uid[i] ^= p[i]
	}
	if block, ok := k.ticket(s, uid); ok {
		return block[:]
	}
	return nil
}

// hmac is HMAC-SHA1 over the 64 bytes or, with LT64, without the trailing run of bytes equal to the last one. A buffer
// of one value alone keeps one byte, as python-yubico says of zeros (§3.9).
func (s *slot) hmac(p *payload) []byte {
	n := len(p)
	if s.cfg.cfg&cfgLT64 != 0 {
		for n > 0 && p[n-1] == p[len(p)-1] {
			n--
		}
		n = max(n, 1)
	}
	m := hmac.New(sha1.New, s.cfg.secret20())
	m.Write(p[:n])
	return m.Sum(nil)
}

// waiting is the challenge that waits for a touch, nil if none does (any more).
func (k *Key) waiting() *touchWait {
	w := k.wait
	if w == nil {
		return nil
	}
	gaveUp := k.faults.NoTouch > 0 && w.reads >= k.faults.NoTouch
	if gaveUp || !k.opts.Now().Before(w.deadline) {
		k.wait = nil
		return nil
	}
	return w
}

// secondsLeft is what the flag byte shows of a wait: whole seconds, rounded up, in five bits.
func (w *touchWait) secondsLeft(now time.Time) byte {
	return byte(min(seqMask, (w.deadline.Sub(now)+time.Second-1)/time.Second))
}
