package batch

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// visit is one key in one port, from its arrival until it is pulled out. It belongs to its goroutine.
type visit struct {
	*run
	at     usbhid.Attached
	gone   context.Context // ends when the key is pulled out
	pulled context.CancelFunc
	over   chan struct{} // closed at the end

	key    Key
	serial token.Serial
	item   token.BatchItem // its place, when it has one
	state  State

	left    int             // how often it may be begun anew
	inLane  bool            // it has one of the lanes
	claimed bool            // no other lane has the serial
	seen    <-chan struct{} // closed by a change since the key was looked up
}

// here is a context that ends when the key is pulled out or no more keys are taken.
func (v *visit) here() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(v.taking)
	stop := context.AfterFunc(v.gone, cancel)
	return ctx, func() { stop(); cancel() }
}

// stay works on the key and then holds it, so that what it types goes nowhere, until it is pulled out or the run is over.
func (v *visit) stay() {
	ctx, cancel := v.here()
	defer cancel()
	v.work(ctx)
	if v.key != nil {
		for swallow(ctx, v.key) {
		}
	}
	<-ctx.Done()
	if v.key != nil {
		_ = v.key.Close() // it is given back anyway when the program ends
	}
	if v.gone.Err() != nil {
		v.say(Removed, "")
	}
}

// swallow reads away one touch; false when the key types no more, or ctx ended.
func swallow(ctx context.Context, k Key) bool {
	_, err := k.Press(ctx, 0)
	return err == nil || errors.Is(err, ykslot.ErrPressTooLong)
}

// say reports another state of the lane.
func (v *visit) say(s State, detail string) {
	v.state = s
	v.report(v.event(s, detail))
}

func (v *visit) event(s State, detail string) Event {
	e := Event{Event: Lane, Step: s.step(), Port: v.at.Path, State: s, Serial: v.serial, Detail: detail}
	if v.item.Position > 0 {
		e.Position, e.StockNumber, e.PublicID = v.item.Position, v.item.StockNumber, v.item.PublicID.String()
	}
	return e
}

// putAside records why the key is not written, even if it was pulled out meanwhile.
func (v *visit) putAside(why token.Aside, detail string) {
	p := token.PutAside{Serial: v.serial, Port: v.at.Path, Reason: why, Detail: detail, At: v.Now()}
	if v.serial == 0 { // the address tells this key from the next in the same port
		p.Port = portName(v.at)
	}
	added, asked := false, false
	err := v.try(v.taking, func(ctx context.Context) error {
		now, err := v.Store.PutAside(ctx, v.Batch.ID, p)
		added = now || asked // a call that failed may have been carried out
		asked = true
		return err
	})
	if err != nil {
		v.fail(v.taking, err)
		return
	}
	if added {
		v.mu.Lock()
		v.aside++
		v.mu.Unlock()
	}
	v.state = Aside
	e := v.event(Aside, detail)
	e.Reason = why
	v.report(e)
}

// fail ends the work on the key without a record: the station or the store is at fault.
func (v *visit) fail(ctx context.Context, err error) {
	if ctx.Err() == nil {
		v.say(Failed, err.Error())
	}
}

// enter takes one of the lanes; false if ctx ended before one was free.
func (v *visit) enter(ctx context.Context) bool {
	select {
	case v.free <- struct{}{}:
		v.inLane = true
	case <-ctx.Done():
	}
	return v.inLane
}

// leave gives it back.
func (v *visit) leave() {
	if v.inLane {
		v.inLane = false
		<-v.free
	}
}

// claim makes v the only lane with its serial. While another has it, it waits for that one, at most until ctx ends: false.
func (v *visit) claim(ctx context.Context) bool {
	for told := false; ; told = true {
		v.mu.Lock()
		changed := v.changed
		if v.working[v.serial] == nil {
			v.working[v.serial], v.claimed = v, true
			delete(v.uncertain, v.serial)
			v.mu.Unlock()
			return true
		}
		v.mu.Unlock()
		if !told {
			v.say(Waiting, "a key with this serial number is in another port")
		}
		if !waitChange(ctx, changed) {
			return false
		}
	}
}

// release ends the claim; uncertain: the key must come back.
func (v *visit) release(uncertain bool) {
	if !v.claimed {
		return
	}
	v.claimed = false
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.working, v.serial)
	if uncertain {
		v.uncertain[v.serial] = true
	}
	v.change()
}

// drive is the key as the Runner has it: what is written is finished, but a touch is not waited for when the key is pulled out or no
// more are taken.
type drive struct {
	Key
	here context.Context
}

// Press implements provision.Device.
func (d drive) Press(ctx context.Context, chars int) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.here, cancel)()
	return d.Key.Press(ctx, chars)
}
