// Package usbfs does what both HID transports need from the kernel beside reports: it locks a key for one process, binds
// the keyboard driver to interface 0 again after a program was killed, and finds out why a device stopped answering.
//
// The lock is flock(2) on the key's usbfs node, /dev/bus/usb/BBB/DDD, because the OTP protocol itself has none
// (reference yubikey-otp.md §1.4): libusb and hidraw thereby exclude each other. It is advisory, ends with the process,
// and needs only read permission, which the node usually gives to everyone. If a user may not open the usbfs node at all
// but may open the hidraw node (a rule for hidraw alone), the hidraw node is locked instead; such a user cannot use
// libusb, so among that user's processes the lock still excludes.
//
// Other systems than Linux have no usbfs: every function returns usbhid.ErrNotBuiltIn there.
package usbfs

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Reattached is the outcome of Reattach for one key whose interface 0 had no driver.
type Reattached struct {
	Key usbhid.Attached
	// Err is nil when the keyboard is back. ErrBusy: a running process holds the key, which was left alone.
	// ErrPermission: this user may not write to the usbfs node. Otherwise the kernel bound no driver.
	Err error
}

// Reattach binds the keyboard driver again to every attached OTP key whose interface 0 has none, which is what a
// program killed while it held the interface leaves behind. sys is the root of sysfs, os.DirFS("/sys"). Keys that have a
// driver, or that a program holds through usbfs, are not touched. The error is that of usbhid.Find.
func Reattach(sys fs.FS) ([]Reattached, error) {
	keys, err := usbhid.Find(sys)
	if err != nil {
		return nil, err
	}
	var done []Reattached
	for _, k := range keys {
		if k.OTP && k.Driver == "" {
			done = append(done, Reattached{Key: k, Err: reattach(k)})
		}
	}
	return done, nil
}

func reattach(k usbhid.Attached) error {
	lock, err := Acquire(k)
	if err != nil {
		return err
	}
	defer lock.Close()
	return Connect(k)
}

// Bounds of Vanished: a hub reports a pulled device some 100 ms after transfers to it begin to fail (USB 2.0 §7.1.7.3:
// debounce), and a busy machine works that off later, so an unexplained failure is looked into for this long.
const (
	vanishedTries = 100
	vanishedPause = 20 * time.Millisecond
)

// Vanished explains a transfer that failed without a clear reason: usbhid.ErrGone if the device is no longer attached,
// usbhid.ErrBusy if another program has taken interface 0 away from the driver want ("usbhid", "usbfs", or "" for any),
// nil if the device is in its place. It takes up to 2 s, because the removal of a device is noticed late.
func Vanished(sys fs.FS, k usbhid.Attached, want string) error {
	for try := range vanishedTries {
		if try > 0 {
			time.Sleep(vanishedPause)
		}
		now, err := usbhid.Stat(sys, k.Path)
		if err != nil || now.Address != k.Address {
			return usbhid.ErrGone
		}
		if want != "" && now.Driver != want && try == vanishedTries-1 {
			return fmt.Errorf("interface 0 is held by driver %q: %w", now.Driver, usbhid.ErrBusy)
		}
	}
	return nil
}
