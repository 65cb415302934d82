package main

import (
	"context"
	"os"
	"testing/fstest"

	"github.com/tokendesk/tokendesk/provision/pcsc"
)

// readersMain is the program on a system that shows no USB, where keys are found by the smart-card service: as on macOS and Windows.
func readersMain() {
	e := scriptEnv()
	stopPIVAt(e, usbBus{sys: fstest.MapFS{}, etc: fstest.MapFS{}, lib: fstest.MapFS{}, readers: pcsc.System()})
	e.pause = systemEnv().pause
	os.Exit(int(run(context.Background(), e, os.Args[1:])))
}
