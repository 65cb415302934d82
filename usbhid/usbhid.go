// Package usbhid is the waist between slots and USB: a device that takes and gives 8-byte feature reports, and types on a
// keyboard endpoint. It names the contract, the errors, and how attached keys are found; the transports are packages
// usbhid/libusb and usbhid/hidraw.
package usbhid

import (
	"context"
	"errors"
)

// ReportLen is the length in bytes of a feature report and of a boot keyboard's input report.
// Source: the report descriptor, reference yubikey-otp.md §1.2 (8 x 8 bit feature item, 8-byte input).
const ReportLen = 8

// Report is one 8-byte report. As a feature report: 7 data bytes, then the flag byte. As a keyboard input report:
// modifiers, 0, six usage codes.
type Report = [ReportLen]byte

// Device is the OTP interface of one attached key, held exclusively from open to Close.
//
// It belongs to one goroutine, except that ReadInput may run in another beside GetFeature and SetFeature. A cancelled
// context is noticed between reports: a report that has been handed to the kernel is waited for (1 s at most), so that
// the device is never left in the middle of one. Errors wrap ErrPermission, ErrGone, ErrBusy or ErrTimeout where one
// of them is the cause, and the context's error after a cancellation.
type Device interface {
	// GetFeature reads the current feature report.
	GetFeature(ctx context.Context) (Report, error)
	// SetFeature writes one feature report.
	SetFeature(ctx context.Context, r Report) error
	// ReadInput returns the next keyboard report, waiting until ctx is done.
	ReadInput(ctx context.Context) (Report, error)
	// Close gives the interface back to the system's keyboard driver. It may be called more than once.
	Close() error
}

// The causes that callers branch on.
var (
	// ErrPermission: this user may not open the node. The error is a *PermissionError, which names node and rule.
	ErrPermission = errors.New("no permission")
	// ErrGone: the device was pulled out.
	ErrGone = errors.New("device is gone")
	// ErrBusy: another process holds the device.
	ErrBusy = errors.New("device is in use by another program")
	// ErrTimeout: the device did not answer a report within a second.
	ErrTimeout = errors.New("device did not answer")
)
