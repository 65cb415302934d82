package main

import (
	"context"
	"log/slog"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// maxKicked is how many tokens may wait for settling at once. What finds no place is found by the next tick.
const maxKicked = 1000

// settling asks targets for what blocks and restores want there: of a token at once when kick is called, which never waits, and of all
// tokens at the start and with each tick of a.pace, until ctx ends. So a target that was down when a token was blocked here is asked
// until it has confirmed. The caller calls wait before the store is closed: it ends the settling, and waits for the try under way.
func (a *app) settling(ctx context.Context, d *desk.Desk, log *slog.Logger) (kick func(token.ID), wait func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticks, stop := a.pace()
	kicked, done := make(chan token.ID, maxKicked), make(chan struct{})
	s := settler{d: d, connect: a.connectOnce, log: log}
	go func() {
		defer close(done)
		defer stop()
		s.settle(ctx)
		for {
			select {
			case <-ctx.Done():
				return
			case id := <-kicked:
				s.settle(ctx, append(waiting(kicked), id)...)
			case <-ticks:
				s.settle(ctx)
			}
		}
	}()
	kick = func(id token.ID) {
		select {
		case kicked <- id:
		default:
		}
	}
	return kick, func() {
		cancel()
		<-done
	}
}

// waiting takes what is in the channel: in one go, a target that does not answer is waited for once.
func waiting(kicked <-chan token.ID) (list []token.ID) {
	for {
		select {
		case id := <-kicked:
			list = append(list, id)
		default:
			return list
		}
	}
}

// settler belongs to one goroutine.
type settler struct {
	d       *desk.Desk
	connect desk.Connect
	log     *slog.Logger
	failing map[place]string // what was told of what is not done
}

// place is a token at a target.
type place struct{ target, serial string }

// settle tries once, for these tokens or for all, and logs what is new.
func (s *settler) settle(ctx context.Context, tokens ...token.ID) {
	for p, err := range s.d.SettleMoved(ctx, s.connect, tokens...) {
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("settle", "error", err)
		case s.isNew(p):
			logPushed(ctx, s.log, p)
		}
	}
}

// isNew reports whether the outcome is another than that of the last try.
func (s *settler) isNew(p desk.Pushed) bool {
	at, failing := place{p.Target, p.Serial}, p.Outcome == desk.Waiting || p.Outcome == desk.Refused
	was, known := s.failing[at]
	switch {
	case !failing:
		delete(s.failing, at)
		return true
	case s.failing == nil:
		s.failing = make(map[place]string)
	}
	s.failing[at] = p.Note
	return !known || was != p.Note
}

// logPushed writes the outcome at one target; what is not done is a warning.
func logPushed(ctx context.Context, log *slog.Logger, p desk.Pushed) {
	level, attrs := slog.LevelInfo, []slog.Attr{
		slog.String("target", p.Target), slog.String("serial", p.Serial), slog.String("outcome", string(p.Outcome)), slog.Bool("still_valid", p.StillValid),
	}
	if p.Outcome == desk.Waiting || p.Outcome == desk.Refused {
		level, attrs = slog.LevelWarn, append(attrs, slog.String("note", p.Note))
	}
	log.LogAttrs(ctx, level, "target", attrs...)
}
