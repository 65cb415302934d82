package usbhid

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Event is the arrival or the removal of one attached device.
type Event struct {
	// Arrived is false for a removal.
	Arrived bool
	// Key is the device; for a removal, as it was on arrival.
	Key Attached
}

// Watch yields arrivals and removals, first those already attached. It calls find, which lists what is attached as Find does,
// at once and then at every tick, such as of a time.Ticker of 250 ms, in the caller's goroutine. It ends when ctx is done or
// tick is closed, and after yielding an error of find; ErrNoUSB counts as an empty list.
//
// A key with an OTP product ID is announced when its keyboard driver is bound, or else at the second sight, so that a
// key just plugged in is complete. Its nodes may still get their permissions some milliseconds later, from udev.
func Watch(ctx context.Context, find func() ([]Attached, error), tick <-chan time.Time) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := watcher{known: map[sighting]Attached{}, waiting: map[sighting]bool{}}
		for ctx.Err() == nil {
			list, err := find()
			if err != nil && !errors.Is(err, ErrNoUSB) {
				yield(Event{}, err)
				return
			}
			for _, e := range w.changes(list) {
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case _, ok := <-tick:
				if !ok {
					return
				}
			}
		}
	}
}

// sighting tells a device from the next one on the same port, and from itself after a change of interfaces.
type sighting struct {
	path    string
	address int
}

type watcher struct {
	known   map[sighting]Attached
	waiting map[sighting]bool // seen once, keyboard driver not yet bound
}

// changes compares a list with what is known: removals first, each group in the list's order of ports.
func (w *watcher) changes(list []Attached) []Event {
	var arrived []Event
	present := map[sighting]bool{}
	for _, a := range list {
		s := sighting{a.Path, a.Address}
		present[s] = true
		if _, ok := w.known[s]; ok {
			continue
		}
		if a.Model.Interfaces.Has(OTP) && a.HIDRaw == "" && a.Reader == "" && !w.waiting[s] {
			w.waiting[s] = true
			continue
		}
		delete(w.waiting, s)
		w.known[s] = a
		arrived = append(arrived, Event{Arrived: true, Key: a})
	}
	return append(w.removed(present), arrived...)
}

func (w *watcher) removed(present map[sighting]bool) []Event {
	var gone []Attached
	for s, a := range w.known {
		if !present[s] {
			gone = append(gone, a)
			delete(w.known, s)
		}
	}
	for s := range w.waiting {
		if !present[s] {
			delete(w.waiting, s)
		}
	}
	sortByPort(gone)
	events := make([]Event, len(gone))
	for i, a := range gone {
		events[i] = Event{Key: a}
	}
	return events
}
