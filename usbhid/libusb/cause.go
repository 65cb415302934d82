//go:build cgo && !nolibusb

package libusb

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/google/gousb"

	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

// cause translates gousb's errors. An I/O error or a time-out alone does not tell a pulled key from a fault, so sysfs decides. A stall
// has no sentinel: the device refused one report.
func (d *Device) cause(op string, err error) error {
	code, ok := codeOf(err)
	if !ok {
		return fmt.Errorf("libusb: %s: %w", op, err)
	}
	switch code {
	case gousb.ErrorAccess:
		err = usbhid.Denied(d.key.USBNode)
	case gousb.ErrorBusy:
		err = usbhid.ErrBusy
	case gousb.ErrorNoDevice:
		err = usbhid.ErrGone
	case gousb.ErrorTimeout, gousb.ErrorIO, gousb.ErrorOther, gousb.ErrorNotFound:
		if why := d.vanished(); why != nil {
			err = why
		} else if code == gousb.ErrorTimeout {
			err = usbhid.ErrTimeout
		}
	}
	return fmt.Errorf("libusb: %s: %w", op, err)
}

func (d *Device) vanished() error {
	driver := "" // any, before the claim
	if d.itf != nil {
		driver = "usbfs"
	}
	return usbfs.Vanished(os.DirFS("/sys"), d.key, driver)
}

// codeOf finds libusb's result code in an error: by type where gousb kept it, mapping the status of an asynchronous
// transfer to the code a synchronous one has; else from the text "[code -3]", as gousb 1.1.3 cuts the chain with %v in
// Config and Interface.
func codeOf(err error) (gousb.Error, bool) {
	var code gousb.Error
	if errors.As(err, &code) {
		return code, true
	}
	var status gousb.TransferStatus
	if errors.As(err, &status) {
		return codeOfStatus(status), true
	}
	text := err.Error()
	i := strings.LastIndex(text, "[code ")
	if i < 0 {
		return 0, false
	}
	digits, _, ok := strings.Cut(text[i+len("[code "):], "]")
	n, convErr := strconv.ParseInt(digits, 10, 32)
	return gousb.Error(n), ok && convErr == nil
}

func codeOfStatus(status gousb.TransferStatus) gousb.Error {
	switch status {
	case gousb.TransferTimedOut:
		return gousb.ErrorTimeout
	case gousb.TransferStall:
		return gousb.ErrorPipe
	case gousb.TransferNoDevice:
		return gousb.ErrorNoDevice
	case gousb.TransferOverflow:
		return gousb.ErrorOverflow
	}
	return gousb.ErrorIO
}
