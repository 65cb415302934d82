package hidraw

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

// Available says whether this build has the transport.
const Available = true

var _ usbhid.Device = (*Device)(nil)

// Device is the OTP interface of a key over its hidraw node. Keyboard reports are collected from Open on, also between
// calls of ReadInput, as the kernel keeps only 64 (HIDRAW_BUFFER_SIZE) and one typed OTP has more.
// Concurrency is that of usbhid.Device; besides, Close may be called while ReadInput waits, which then returns os.ErrClosed.
type Device struct {
	key     usbhid.Attached
	lock    *usbfs.Lock
	node    *os.File
	grabs   []*os.File // event nodes; closing one ends its grab
	grabbed bool

	inputs   chan usbhid.Report // closed when reading has ended, after inputErr is set
	inputErr error
}

// Open locks the key, opens its hidraw node and grabs its input devices if this user may. An interface 0 without driver
// (left so by a killed program) gets its keyboard driver back first. Before any report is sent the node is checked to
// be the keyboard interface of a device of Yubico's with the product ID of k.
//
// Errors wrap ErrBusy (another process holds the key), ErrPermission, ErrGone (k is no longer attached at its path) or
// ctx's error. The caller defers Close; a process that dies leaves nothing behind.
func Open(ctx context.Context, k usbhid.Attached) (*Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := open(k)
	if err != nil {
		return nil, fmt.Errorf("hidraw: key at %s: %w", k.Path, err)
	}
	return d, nil
}

func open(k usbhid.Attached) (*Device, error) {
	if !k.OTP {
		return nil, errors.New("its OTP interface is off")
	}
	lock, err := usbfs.Acquire(k)
	if err != nil {
		return nil, err
	}
	d := &Device{lock: lock}
	if d.key, err = settle(k); err == nil {
		err = d.openNode()
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	d.grab()
	d.inputs = make(chan usbhid.Report, inputBacklog)
	go d.collect()
	return d, nil
}

// settle reads the key's entry in sysfs again, as node numbers change whenever the driver is bound, and binds the driver
// if there is none.
func settle(k usbhid.Attached) (usbhid.Attached, error) {
	now, err := attachedAs(k)
	if err != nil || now.HIDRaw != "" {
		return now, err
	}
	if now.Driver == "usbfs" {
		return now, fmt.Errorf("interface 0 is claimed: %w", usbhid.ErrBusy)
	}
	if err := usbfs.Connect(k); err != nil {
		return now, err
	}
	if now, err = attachedAs(k); err == nil && now.HIDRaw == "" {
		err = fmt.Errorf("driver %q gave interface 0 no hidraw node", now.Driver)
	}
	return now, err
}

func attachedAs(k usbhid.Attached) (usbhid.Attached, error) {
	now, err := usbhid.Stat(os.DirFS("/sys"), k.Path)
	if err == nil && now.USBNode != k.USBNode {
		err = usbhid.ErrGone
	}
	return now, err
}

// openNode opens the hidraw node in non-blocking mode, so that the runtime's poller waits for input and Close ends the wait.
func (d *Device) openNode() error {
	fd, err := unix.Open(d.key.HIDRaw, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return d.cause("open "+d.key.HIDRaw, err)
	}
	d.node = os.NewFile(uintptr(fd), d.key.HIDRaw)
	if err := d.node.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%s: cannot wait for input: %w", d.key.HIDRaw, err)
	}
	if err := identify(d.node, d.key.Model.ProductID); err != nil {
		return d.cause(d.key.HIDRaw, err)
	}
	return nil
}

// grab takes the key's input devices away from the desktop and the console, all or none.
func (d *Device) grab() {
	for _, path := range d.key.Input {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			d.grabs = append(d.grabs, f)
			err = grabInput(f)
		}
		if err != nil {
			d.ungrab()
			return
		}
	}
	d.grabbed = len(d.grabs) > 0
}

func (d *Device) ungrab() {
	for _, f := range d.grabs {
		f.Close() // only releases the grab: nothing was written
	}
	d.grabs, d.grabbed = nil, false
}

// Grabbed reports whether a touch is kept from typing into the desktop and the console. If not (usually for want of
// permission on /dev/input/event*), the caller warns before asking for a touch.
func (d *Device) Grabbed() bool { return d.grabbed }

// GetFeature reads the feature report. The kernel waits up to 5 s for the device (USB_CTRL_GET_TIMEOUT).
func (d *Device) GetFeature(ctx context.Context) (usbhid.Report, error) {
	if err := ctx.Err(); err != nil {
		return usbhid.Report{}, err
	}
	r, err := feature(d.node)
	if err != nil {
		return usbhid.Report{}, d.cause("read feature report", err)
	}
	return r, nil
}

// SetFeature writes the feature report. The kernel waits up to 5 s for the device (USB_CTRL_SET_TIMEOUT).
func (d *Device) SetFeature(ctx context.Context, r usbhid.Report) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := setFeature(d.node, r); err != nil {
		return d.cause("write feature report", err)
	}
	return nil
}

// inputBacklog is how many unread keyboard reports are kept: some ten OTPs of 90 reports. What comes beyond is dropped.
const inputBacklog = 1024

// collect moves keyboard reports from the kernel to inputs until the node fails or is closed.
func (d *Device) collect() {
	defer close(d.inputs)
	for {
		var r usbhid.Report
		n, err := d.node.Read(r[:])
		if err == nil && n != len(r) {
			err = fmt.Errorf("%d bytes, want %d", n, len(r))
		}
		if err != nil {
			d.inputErr = err
			return
		}
		select {
		case d.inputs <- r:
		default:
		}
	}
}

// ReadInput returns the oldest keyboard report not yet read, waiting for one until ctx is done or the device is closed.
func (d *Device) ReadInput(ctx context.Context) (usbhid.Report, error) {
	if err := ctx.Err(); err != nil {
		return usbhid.Report{}, err
	}
	select {
	case r, ok := <-d.inputs:
		if !ok {
			return usbhid.Report{}, d.cause("read keyboard report", d.inputErr)
		}
		return r, nil
	case <-ctx.Done():
		return usbhid.Report{}, ctx.Err()
	}
}

// Close ends the grab, closes the node and gives the lock back. It may be called more than once.
func (d *Device) Close() error {
	d.ungrab()
	var err error
	if d.node != nil {
		if err = d.node.Close(); errors.Is(err, os.ErrClosed) {
			err = nil
		}
	}
	if d.inputs != nil {
		for range d.inputs { // until collect has ended
		}
	}
	return errors.Join(err, d.lock.Close())
}

// cause translates the errors of the kernel. A stall (EPIPE) has no sentinel: the device refused one report. For the
// rest, a time-out included, sysfs says whether the key was pulled. ENODEV or EIO from a node whose device is in its place
// means that another program detached the driver meanwhile, as ykpersonalize and ykinfo do: the key has to be opened again.
func (d *Device) cause(op string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return usbhid.Denied(d.key.HIDRaw)
	case errors.Is(err, unix.EBUSY):
		err = usbhid.ErrBusy
	case !errors.Is(err, unix.EPIPE) && isErrno(err):
		if why := usbfs.Vanished(os.DirFS("/sys"), d.key, "usbhid"); why != nil {
			err = why
		} else if errors.Is(err, unix.ETIMEDOUT) {
			err = usbhid.ErrTimeout
		} else if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EIO) {
			err = fmt.Errorf("interface 0 was taken away for a moment: %w", usbhid.ErrBusy)
		}
	}
	return fmt.Errorf("hidraw: %s: %w", op, err)
}

func isErrno(err error) bool {
	var errno unix.Errno
	return errors.As(err, &errno)
}
