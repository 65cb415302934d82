package main

import (
	"context"

	"github.com/tokendesk/tokendesk/provision/appointment"
)

// deskFront is what an operator sees of a desk and acts by. Its methods are called by the loop's goroutine and must not wait.
type deskFront interface {
	// show is called after every event, with what happened.
	show(s appointment.State, happened []appointment.Record)
	// next is an act of the operator that waited for this state; nil: none.
	next(s appointment.State) appointment.Event
}

// deskLoop is the goroutine that owns an appointment's state.
type deskLoop struct {
	state   appointment.State
	station *station
	events  chan any // appointment.Event, wake, or broken
	front   deskFront
}

// wake has the loop ask its front.
type wake struct{}

// mostEvents is how many events may wait; who posts more waits.
const mostEvents = 256

// run handles events until the session is over; open is how many keys are half-written. The end of ctx is the operator's wish to leave; a second one ends what is under way.
func (l *deskLoop) run(ctx context.Context, open int) {
	stop := context.AfterFunc(ctx, func() { l.post(appointment.Quit{}) })
	defer stop()
	l.handle(appointment.Opened{Open: open})
	l.station.watch()
	for !l.state.Over {
		switch e := (<-l.events).(type) {
		case appointment.Event:
			if _, quit := e.(appointment.Quit); quit && l.state.Leaving {
				l.station.cancel()
			}
			l.handle(e)
		case broken:
			panic(e.String())
		default:
			l.handle(nil)
		}
	}
	done := make(chan struct{})
	go func() { // what still answers must not wait for us
		for {
			select {
			case <-l.events:
			case <-done:
				return
			}
		}
	}()
	l.station.close()
	close(done)
}

func (l *deskLoop) post(e any) { l.events <- e }

// handle takes one event, and then what the front had waiting.
func (l *deskLoop) handle(e appointment.Event) {
	for {
		var happened []appointment.Record
		if e != nil {
			var effects []appointment.Effect
			l.state, effects = appointment.Next(l.state, l.station.a.now(), e)
			for _, x := range effects {
				if tell, ok := x.(appointment.Tell); ok {
					happened = append(happened, tell.Record)
					continue
				}
				l.station.perform(x)
			}
		}
		l.front.show(l.state, happened)
		if e = l.front.next(l.state); e == nil || l.state.Over {
			return
		}
	}
}
