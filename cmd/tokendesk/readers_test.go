package main

import (
	"context"
	"os"
	"testing/fstest"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/usbhid"
)

// readersMain is the program on a system that shows no USB, where keys are found by the smart-card service: as on macOS and Windows. With the
// variable KEYS the keys are those of a keyring, and the service is the way to their PIV application alone.
func readersMain() {
	e := scriptEnv()
	real := usbBus{sys: fstest.MapFS{}, etc: fstest.MapFS{}, lib: fstest.MapFS{}, readers: pcsc.System()}
	stopPIVAt(e, real)
	if dir := os.Getenv("KEYS"); dir != "" {
		e.bus = deskReaders{scriptBus{dir}, e.bus.(pivBus), real}
	}
	e.pause = systemEnv().pause
	os.Exit(int(run(context.Background(), e, os.Args[1:])))
}

// deskReaders is a bus with one key, whose PIV application is in the only reader.
type deskReaders struct {
	scriptBus
	piv     pivBus
	readers usbBus
}

func (b deskReaders) openPIV(ctx context.Context, at usbhid.Attached) (piv.Card, error) {
	lock, err := b.open(ctx, at, auto) // as the real bus: not while the keyboard is held
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	cards, err := b.readers.cards(ctx)
	if err != nil || len(cards) == 0 {
		return nil, err
	}
	return b.piv.openPIV(ctx, cards[0])
}
