// Package usbhid is the waist between slots and USB: a device that takes and gives 8-byte feature reports, and types on a
// keyboard endpoint. It names the contract ([Device]), the errors, which keys exist ([Model]), how the attached ones are
// found ([Find], [Watch]) and the udev rule that opens them to a user ([UdevRule]).
//
// Finding reads sysfs and nothing else; no device node is opened before one key has been chosen. The transports are
// packages usbhid/libusb and usbhid/hidraw; what both need from the kernel beside reports (the lock, binding the
// keyboard driver again) is package usbhid/usbfs.
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
// context is noticed between reports: a report that has been handed to the kernel is waited for, 5 s at most, so that the
// device is never left in the middle of one. Errors wrap ErrPermission, ErrGone, ErrBusy or ErrTimeout where one of them is
// the cause, and the context's error after a cancellation.
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
	// ErrTimeout: the device did not answer a report in time (5 s).
	ErrTimeout = errors.New("device did not answer")
	// ErrNoUSB: this system has no sysfs tree of USB devices (no USB support, a container, or not Linux).
	ErrNoUSB = errors.New("no USB on this system")
	// ErrNotBuiltIn: the transport is not part of this build or not made for this system.
	ErrNotBuiltIn = errors.New("not part of this build")
)

// PermissionError says which node this user may not open, and the rule that would allow it. It wraps ErrPermission.
type PermissionError struct {
	// Node is the path that was refused, such as "/dev/hidraw3".
	Node string
	// Rule is the text of the missing udev rule, word for word; it belongs in the file UdevRulePath.
	Rule string
}

// Error names the node and the rule's file in one line; the rule's text is left to the caller.
func (e *PermissionError) Error() string {
	return "open " + e.Node + ": " + ErrPermission.Error() + "; the udev rule " + UdevRulePath + " grants it"
}

// Unwrap is ErrPermission.
func (e *PermissionError) Unwrap() error { return ErrPermission }

// Denied is the PermissionError for node, with tokendesk's udev rule.
func Denied(node string) *PermissionError { return &PermissionError{Node: node, Rule: UdevRule} }
