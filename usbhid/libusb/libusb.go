//go:build cgo && !nolibusb

package libusb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/gousb"

	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

// Available says whether this build has the transport.
const Available = true

// The two class requests. Source: reference yubikey-otp.md §1.4; HID 1.11 §7.2.
const (
	requestIn     = 0xA1 // bmRequestType: IN, class, interface
	requestOut    = 0x21 // bmRequestType: OUT, class, interface
	getReport     = 0x01
	setReport     = 0x09
	featureReport = 0x0300 // wValue: type 3 (feature), ID 0
)

// Where the OTP interface is. Source: reference yubikey-otp.md §1.2.
const (
	configuration = 1
	keyboard      = 0 // interface number, also wIndex
	inputEndpoint = 1 // address 81
)

// controlTimeout bounds one feature report, as the kernel does for hidraw (USB_CTRL_GET_TIMEOUT). libykpers gives up after 1 s (reference
// yubikey-otp.md §1.4), which a busy machine takes now and then.
const controlTimeout = 5 * time.Second

var _ usbhid.Device = (*Device)(nil)

// Device is the OTP interface of a key, claimed through libusb. Keyboard reports are fetched only while ReadInput waits;
// between calls the key holds them back. Concurrency is that of usbhid.Device; besides, Close may be called at any time
// and ends a waiting ReadInput.
type Device struct {
	key   usbhid.Attached
	lock  *usbfs.Lock
	usb   *gousb.Context
	dev   *gousb.Device
	cfg   *gousb.Config
	itf   *gousb.Interface
	input *gousb.InEndpoint

	closing chan struct{} // closed by Close
	inUse   sync.RWMutex  // read: a transfer; write: Close
	once    sync.Once     // of Close
	closed  error         // what Close returns
}

// Open locks the key, opens that device alone, by bus and address, and claims interface 0. Errors wrap ErrBusy (another
// process holds the key), ErrPermission, ErrGone (k is no longer attached at its path) or ctx's error; after an error the
// keyboard driver is back in its place. The caller defers Close at once.
func Open(ctx context.Context, k usbhid.Attached) (*Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !k.OTP {
		return nil, fmt.Errorf("libusb: key at %s: its OTP interface is off", k.Path)
	}
	lock, err := usbfs.Acquire(k)
	if err != nil {
		return nil, fmt.Errorf("libusb: key at %s: %w", k.Path, err)
	}
	d := &Device{key: k, lock: lock, closing: make(chan struct{})}
	if err := d.open(); err != nil {
		return nil, errors.Join(d.cause("open key at "+k.Path, err), d.Close())
	}
	return d, nil
}

func (d *Device) open() (err error) {
	if d.usb, err = newContext(); err != nil {
		return err
	}
	if d.dev, err = d.find(); err != nil {
		return err
	}
	d.dev.ControlTimeout = controlTimeout
	if err := d.dev.SetAutoDetach(true); err != nil {
		return err
	}
	trim(d.dev.Desc)
	// Config sets the configuration only if another one is active, as setting it resets the keyboard
	// (reference yubikey-otp.md §1.4).
	if d.cfg, err = d.dev.Config(configuration); err != nil {
		return err
	}
	if d.itf, err = d.cfg.Interface(keyboard, 0); err != nil {
		return err
	}
	d.input, err = d.itf.InEndpoint(inputEndpoint)
	return err
}

// newContext turns gousb's panic, when libusb cannot start, into an error.
func newContext() (c *gousb.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("libusb does not start: %v", r)
		}
	}()
	return gousb.NewContext(), nil
}

// find opens the one device with the key's bus, address and IDs. gousb also reports what went wrong with other devices;
// that is dropped if this one was opened.
func (d *Device) find() (*gousb.Device, error) {
	found, err := d.usb.OpenDevices(func(desc *gousb.DeviceDesc) bool {
		return desc.Bus == d.key.Bus && desc.Address == d.key.Address &&
			desc.Vendor == usbhid.VendorID && desc.Product == gousb.ID(d.key.Model.ProductID)
	})
	switch {
	case len(found) > 0: // bus and address name at most one
		return found[0], nil
	case err != nil:
		return nil, err
	}
	return nil, usbhid.ErrGone
}

// trim leaves only interface 0 in the descriptor's copy of the configuration. Otherwise gousb's Config detaches the
// kernel drivers of all interfaces and re-attaches only claimed ones: FIDO would stay gone until the key is plugged in
// again (reference yubikey-otp.md §1.4, gousb 1.1.3 config.go and device.go).
func trim(desc *gousb.DeviceDesc) {
	for number, cfg := range desc.Configs {
		var kept []gousb.InterfaceDesc
		for _, itf := range cfg.Interfaces {
			if itf.Number == keyboard {
				kept = append(kept, itf)
			}
		}
		cfg.Interfaces = kept
		desc.Configs[number] = cfg
	}
}

// GetFeature reads the feature report; 5 s at most.
func (d *Device) GetFeature(ctx context.Context) (r usbhid.Report, err error) {
	err = d.control(ctx, "read feature report", requestIn, getReport, r[:])
	return r, err
}

// SetFeature writes the feature report; 5 s at most.
func (d *Device) SetFeature(ctx context.Context, r usbhid.Report) error {
	return d.control(ctx, "write feature report", requestOut, setReport, r[:])
}

func (d *Device) control(ctx context.Context, op string, requestType, request uint8, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.inUse.RLock()
	defer d.inUse.RUnlock()
	if d.isClosed() {
		return fmt.Errorf("libusb: %s: %w", op, os.ErrClosed)
	}
	n, err := d.dev.Control(requestType, request, featureReport, keyboard, data)
	switch {
	case err != nil:
		clear(data)
		return d.cause(op, err)
	case n != len(data):
		clear(data)
		return fmt.Errorf("libusb: %s: %d bytes, want %d", op, n, len(data))
	}
	return nil
}

// ReadInput fetches the next keyboard report from the interrupt endpoint, waiting for one until ctx is done or the device
// is closed. A report that arrives together with the cancellation is returned, not lost.
func (d *Device) ReadInput(ctx context.Context) (usbhid.Report, error) {
	const op = "read keyboard report"
	if err := ctx.Err(); err != nil {
		return usbhid.Report{}, err
	}
	d.inUse.RLock()
	defer d.inUse.RUnlock()
	if d.isClosed() {
		return usbhid.Report{}, fmt.Errorf("libusb: %s: %w", op, os.ErrClosed)
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-d.closing:
			stop()
		case <-waiting.Done():
		}
	}()
	var r usbhid.Report
	n, err := d.input.ReadContext(waiting, r[:])
	switch {
	case errors.Is(err, gousb.TransferCancelled) && ctx.Err() != nil:
		return usbhid.Report{}, ctx.Err()
	case errors.Is(err, gousb.TransferCancelled) && d.isClosed():
		return usbhid.Report{}, fmt.Errorf("libusb: %s: %w", op, os.ErrClosed)
	case err != nil:
		return usbhid.Report{}, d.cause(op, err)
	case n != len(r):
		return usbhid.Report{}, fmt.Errorf("libusb: %s: %d bytes, want %d", op, n, len(r))
	}
	return r, nil
}

func (d *Device) isClosed() bool {
	select {
	case <-d.closing:
		return true
	default:
		return false
	}
}

// Close ends a waiting ReadInput, releases interface 0, checks in sysfs that the keyboard driver is back (and binds it if
// not), and gives the lock back. It may be called more than once and then returns the same.
func (d *Device) Close() error {
	d.once.Do(func() {
		close(d.closing)
		d.inUse.Lock()
		defer d.inUse.Unlock()
		d.closed = errors.Join(d.release(), d.lock.Close())
	})
	return d.closed
}

// release undoes open in reverse order, as far as it got.
func (d *Device) release() error {
	var errs []error
	if d.itf != nil {
		d.itf.Close()
	}
	if d.cfg != nil {
		errs = append(errs, d.cfg.Close())
	}
	if d.dev != nil {
		errs = append(errs, d.dev.Close(), d.restore())
	}
	if d.usb != nil {
		errs = append(errs, d.usb.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("libusb: close key at %s: %w", d.key.Path, err)
	}
	return nil
}

// restore binds the keyboard driver if libusb's release has not: it does so only after a successful claim, and drops
// the result. A device that is gone, or that another program has taken meanwhile, needs nothing.
func (d *Device) restore() error {
	now, err := usbhid.Stat(os.DirFS("/sys"), d.key.Path)
	if err != nil || now.Address != d.key.Address || now.Driver != "" {
		return nil
	}
	if err := usbfs.Connect(d.key); !errors.Is(err, usbhid.ErrGone) && !errors.Is(err, usbhid.ErrBusy) {
		return err
	}
	return nil
}
