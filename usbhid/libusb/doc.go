// Package libusb is the HID transport through libusb and gousb, whose only importer it is. It claims interface 0 for the
// whole time from Open to Close. That takes the keyboard away from the desktop, so a touch is read here from the interrupt
// endpoint and types nowhere else: no stray text, no focus, no keyboard layout. The interfaces beside it (FIDO, CCID) are
// left as they are.
//
// Close gives interface 0 back to the keyboard driver, and so must run whatever happens: the caller defers it right after
// Open, which covers errors and panics, and lets SIGINT and SIGTERM cancel the context instead of ending the process. After
// kill -9 the keyboard stays away until the next Open and Close, or until usbfs.Reattach.
//
// The package is in builds with cgo and without the tag nolibusb; in others Open returns usbhid.ErrNotBuiltIn.
package libusb
