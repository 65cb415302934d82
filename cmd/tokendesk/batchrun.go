package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// runLanes writes keys until the batch is full or somebody interrupts: at the first signal, writes are finished, at the second they are
// dropped.
func (a *app) runLanes(ctx context.Context, st *sqlstore.Store, b token.Batch, p profile.Profile, o batchOptions) (batch.Totals, error) {
	a.giveBack()
	abandon, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	wanted, err := a.newIntake(ctx, st)
	if err != nil {
		return batch.Totals{}, err
	}
	keys := &heldKeys{a: a, t: transport(o.transport), intake: wanted}
	defer keys.restore()
	view := &sharedView{view: a.batchView(b, p)}
	defer context.AfterFunc(ctx, func() {
		view.note("finishing the writes under way; interrupt once more to stop at once")
		second, done := a.notify(abandon)
		defer done()
		select {
		case <-second.Done():
			stop()
		case <-abandon.Done():
		}
	})()
	e := &batch.Engine{
		Store: st, Bus: keys, Batch: b, Spec: provision.FromProfile(p), Lanes: o.lanes, Rand: a.rand, Now: a.now, TouchWait: a.touchWait,
		Pause:  func(ctx context.Context) error { return a.pause(ctx, storePause) },
		Report: view.show,
	}
	return e.Run(ctx, abandon)
}

// heldKeys are the system's keys as the engine has them.
type heldKeys struct {
	a      *app
	t      transport
	intake *intake
	mu     sync.Mutex
	done   func() // gives the terminal its echo back; nil: it has it
}

// Watch implements batch.Bus.
func (h *heldKeys) Watch(ctx context.Context) iter.Seq2[usbhid.Event, error] {
	return func(yield func(usbhid.Event, error) bool) {
		tick, stop := h.a.tick()
		defer stop()
		h.a.bus.watch(ctx, tick)(yield)
	}
}

// Open implements batch.Bus. A smart card would not keep a touch from typing.
func (h *heldKeys) Open(ctx context.Context, at usbhid.Attached) (batch.Key, error) {
	k, err := h.intake.open(ctx, h.a, at, h.t)
	if err != nil {
		return nil, err
	}
	if k.dev == nil {
		k.close()
		return nil, errors.Join(errNoKeyboard, k.denied)
	}
	h.quiet(k)
	return heldKey{k.device(), k}, nil
}

var errNoKeyboard = errors.New("the keyboard interface of the key cannot be held")

// quiet turns the echo off once, where a touch may reach the terminal.
func (h *heldKeys) quiet(k *key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done == nil {
		if g, ok := k.dev.(interface{ Grabbed() bool }); ok && !g.Grabbed() {
			h.done = h.a.quiet(k)
		}
	}
}

func (h *heldKeys) restore() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		h.done()
	}
}

// heldKey is one of them.
type heldKey struct {
	provision.Device
	k *key
}

func (h heldKey) Serial() token.Serial { return h.k.serial }

func (h heldKey) Close() error {
	h.k.close()
	return nil
}

// batchView shows what the engine reports: lanes on a terminal, lines otherwise, objects for -o json.
type batchView interface {
	show(batch.Event)
	note(text string) // says something beside
}

// sharedView may be used by several goroutines.
type sharedView struct {
	mu   sync.Mutex
	view batchView
}

func (s *sharedView) show(e batch.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.show(e)
}

func (s *sharedView) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.note(text)
}

func (a *app) batchView(b token.Batch, p profile.Profile) batchView {
	switch {
	case a.format == "json":
		return jsonView{a}
	case a.stderrTTY && a.getenv("TERM") != "dumb":
		return newLaneScreen(a, b, p)
	}
	return lineView{a, b}
}

// jsonView writes an object a line to standard output.
type jsonView struct{ a *app }

func (v jsonView) show(e batch.Event) { _ = json.NewEncoder(v.a.stdout).Encode(e) } // a reader that went away must not stop a write
func (v jsonView) note(text string)   { v.a.say("%s", text) }

// lineView writes a line an event to standard error.
type lineView struct {
	a *app
	b token.Batch
}

func (v lineView) show(e batch.Event) {
	at := e.Time.Local().Format("15:04:05")
	switch e.Event {
	case batch.Begun:
		v.a.say("%s %s batch %d, profile %s: %d done, %d uncertain, %d to go", at, e.Step, e.Batch, v.b.Profile, e.Done, e.Uncertain, e.Wanted-e.Done-e.Uncertain)
	case batch.Paused:
		v.a.say("%s %s the store is away, nothing more is written: %s", at, e.Step, printable(e.Detail))
	case batch.Resumed:
		v.a.say("%s %s the store is back", at, e.Step)
	case batch.Lane:
		text := fmt.Sprintf("%s %s %-8s %-10s %s", at, e.Step, e.Port, e.Serial, laneText(e))
		if e.State == batch.Done {
			text += fmt.Sprintf(", %d/%d", e.Totals.Done, e.Wanted)
		}
		v.a.say("%s", text)
	}
}

func (v lineView) note(text string) { v.a.say("%s", text) }

// laneText says where a lane is.
func laneText(e batch.Event) string {
	text := string(e.State)
	switch e.State {
	case batch.Again:
		text = "done already in this batch"
	case batch.Aside:
		text = "put aside: " + string(e.Reason)
	case batch.Done:
		text = "done"
		if e.StockNumber != "" {
			text += " " + printable(e.StockNumber)
		}
	}
	if e.Detail != "" {
		text += ": " + printable(e.Detail)
	}
	return text
}
