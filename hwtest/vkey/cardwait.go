package vkey

import "time"

// Capable is an Applet that device info switches on and off, by the bit that stands for it there (reference
// yubikey-otp.md §7.2: PIV 10, OATH 20): not found while it is off.
type Capable interface{ Capability() uint16 }

// Installed is the applet of a type that Install gave the key; the zero value if there is none. By it an applet's package finds its own.
func Installed[A Applet](k *Key) (found A) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range k.applets {
		if a, ok := a.(A); ok {
			return a
		}
	}
	return found
}

// OnTouchWait has f called whenever a command of the card waits for a touch; f says whether the touch came, and the wait is
// over. It is called without a lock and may use the key. nil is the beginning: Touch and Hold end a wait, or its time does.
func (k *Key) OnTouchWait(f func() bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.touchHook = f
}

// AwaitTouch is for an applet's Run alone, which runs with the key locked: it lets go of the key until that is touched,
// leaves, or the time is over, and says whether it was touched. The light blinks. Commands of the card wait meanwhile.
func (k *Key) AwaitTouch(limit time.Duration) bool {
	hook, gone, touched := k.touchHook, k.gone, make(chan struct{})
	k.cardWait = touched
	k.mu.Unlock()
	var came bool
	if hook != nil {
		came = hook()
	} else {
		timer := time.NewTimer(limit)
		select {
		case <-touched:
			came = true
		case <-gone:
		case <-timer.C:
		}
		timer.Stop()
	}
	k.mu.Lock()
	k.cardWait = nil
	return came && k.plugged && k.gone == gone
}

// Hang is for an applet's Run alone: it lets go of the key until that leaves. A command that hangs gets no answer.
func (k *Key) Hang() {
	gone := k.gone
	k.mu.Unlock()
	<-gone
	k.mu.Lock()
}

// Leave is for an applet's Run alone: it unplugs the key. A command that does so gets no answer.
func (k *Key) Leave() { k.unplug() }

// touchCard is a touch that a command of the card waits for.
func (k *Key) touchCard() bool {
	if k.cardWait == nil || !k.plugged {
		return false
	}
	close(k.cardWait)
	k.cardWait = nil
	return true
}
