package main

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"runtime"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/hidraw"
	"github.com/tokendesk/tokendesk/usbhid/libusb"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

// bus is where keys are plugged in: the system's USB, or a virtual one.
type bus interface {
	// find lists what is attached, without opening anything.
	find() ([]usbhid.Attached, error)
	// watch yields arrivals and removals at every tick until ctx ends.
	watch(ctx context.Context, tick <-chan time.Time) iter.Seq2[usbhid.Event, error]
	// open holds one key exclusively until it is closed.
	open(ctx context.Context, k usbhid.Attached, t transport) (usbhid.Device, error)
	// reattach gives keyboards back that a killed program left without driver.
	reattach() ([]usbfs.Reattached, error)
	// udevRule reports whether the rule that opens keys to users is installed, and whether this system needs one.
	udevRule() (installed, needed bool)
}

// transport is a way to the OTP interface.
type transport string

// The values of --transport.
const (
	auto      transport = "auto" // libusb where it is built in, else hidraw; ccid where neither can be used
	viaLibusb transport = "libusb"
	viaHidraw transport = "hidraw"
	viaCCID   transport = "ccid" // as a smart card
)

// transports are the values of --transport, in words.
const transports = "auto, libusb, hidraw or ccid"

func (t transport) check() error {
	switch t {
	case auto, viaLibusb, viaHidraw, viaCCID:
		return nil
	}
	return usagef("--transport %s is unknown", string(t)).hint("it is %s", transports)
}

// builtIn are the transports of this build.
func builtIn() []string {
	var ts []string
	if libusb.Available {
		ts = append(ts, string(viaLibusb))
	}
	if runtime.GOOS == "linux" {
		ts = append(ts, string(viaHidraw))
	}
	if pcsc.Available {
		ts = append(ts, string(viaCCID))
	}
	return ts
}

// usbBus is the real one. sys is the root of sysfs.
type usbBus struct {
	sys, etc, lib fs.FS // /sys, /etc and /lib
	readers       *pcsc.Service
}

// find lists the keys on USB; where the system does not show that, those in smart-card readers.
func (b usbBus) find() ([]usbhid.Attached, error) {
	keys, err := usbhid.Find(b.sys)
	if !errors.Is(err, usbhid.ErrNoUSB) {
		return keys, err
	}
	cards, cardErr := b.cards(context.Background())
	switch {
	case cardErr == nil && (len(cards) > 0 || runtime.GOOS != "linux"):
		return cards, nil
	case runtime.GOOS != "linux":
		return nil, cardErr
	}
	return nil, err
}

func (b usbBus) watch(ctx context.Context, tick <-chan time.Time) iter.Seq2[usbhid.Event, error] {
	return usbhid.Watch(ctx, b.find, tick)
}

// open with auto prefers libusb, because a touch then types nowhere else. Where only the usb node is closed to this
// user, hidraw is tried, and the first refusal is reported if that fails too.
func (b usbBus) open(ctx context.Context, k usbhid.Attached, t transport) (usbhid.Device, error) {
	switch {
	case t == viaHidraw, t == auto && !libusb.Available:
		return opened(hidraw.Open(ctx, k))
	case t == viaLibusb:
		return opened(libusb.Open(ctx, k))
	}
	dev, err := opened(libusb.Open(ctx, k))
	if errors.Is(err, usbhid.ErrPermission) {
		if raw, rawErr := opened(hidraw.Open(ctx, k)); rawErr == nil {
			return raw, nil
		}
	}
	return dev, err
}

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[D usbhid.Device](dev D, err error) (usbhid.Device, error) {
	if err != nil {
		return nil, err
	}
	return dev, nil
}

func (b usbBus) reattach() ([]usbfs.Reattached, error) {
	done, err := usbfs.Reattach(b.sys)
	if errors.Is(err, usbhid.ErrNoUSB) {
		return nil, nil
	}
	return done, err
}

func (b usbBus) udevRule() (installed, needed bool) {
	if runtime.GOOS != "linux" {
		return false, false
	}
	for _, dir := range []fs.FS{b.etc, b.lib} { // by hand, or by a package
		text, err := fs.ReadFile(dir, strings.TrimPrefix(usbhid.UdevRulePath, "/etc/"))
		installed = installed || err == nil && string(text) == usbhid.UdevRule
	}
	return installed, true
}
