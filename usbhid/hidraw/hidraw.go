// Package hidraw is the HID transport in pure Go, over Linux's hidraw nodes: feature reports by ioctl, keyboard reports
// by read. It leaves the keyboard driver in its place, works beside pcscd and needs no C library; in return a touch would
// also type into the desktop, so the input device is grabbed where this user may (see Device.Grabbed).
//
// On other systems than Linux Open returns usbhid.ErrNotBuiltIn.
package hidraw

// Usages of the OTP interface: generic desktop page, keyboard. The FIDO interface has (F1D0, 0001).
// Source: reference yubikey-otp.md §1.2, §1.3.
const (
	pageDesktop   = 0x0001
	usageKeyboard = 0x0006
)

// firstUsage reads the usage page and usage of the first top-level collection from a HID report descriptor, as ykman
// does. It returns false if the descriptor ends, or opens a collection, before both were seen.
//
// An item is a prefix byte (tag in bits 7 to 4, type in bits 3 and 2, size code in bits 1 and 0) and 0, 1, 2 or 4 bytes,
// little-endian. Source: HID 1.11 §6.2.2.
func firstUsage(descriptor []byte) (page, usage uint16, ok bool) {
	const (
		longItem   = 0xfe // never used in practice; refused
		usagePage  = 0x04 // global item
		usageItem  = 0x08 // local item
		collection = 0xa0 // main item
	)
	var havePage, haveUsage bool
	for len(descriptor) > 0 {
		prefix := descriptor[0]
		size := [...]int{0, 1, 2, 4}[prefix&3]
		if prefix == longItem || len(descriptor) < 1+size {
			return 0, 0, false
		}
		var value uint32
		for i := size; i > 0; i-- {
			value = value<<8 | uint32(descriptor[i])
		}
		switch prefix &^ 3 {
		case usagePage:
			page, havePage = uint16(value), true
		case usageItem:
			usage, haveUsage = uint16(value), true
			if size == 4 { // an extended usage carries its page in the high half
				page, havePage = uint16(value>>16), true
			}
		case collection:
			return page, usage, havePage && haveUsage
		}
		descriptor = descriptor[1+size:]
	}
	return 0, 0, false
}
