package hidraw

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

// Requests of hidraw and evdev, in the encoding of asm-generic/ioctl.h (not of mips, powerpc and sparc).
// Source: reference yubikey-otp.md §1.4; Linux include/uapi/linux/hidraw.h and input.h.
const (
	hidiocgRawInfo  = 0x80084803
	hidiocgDescSize = 0x80044801
	hidiocgDesc     = 0x90044802
	hidiocsFeature9 = 0xC0094806 // HIDIOCSFEATURE(9)
	hidiocgFeature9 = 0xC0094807 // HIDIOCGFEATURE(9)
	eviocGrab       = 0x40044590 // _IOW('E', 0x90, int), the int itself is the argument
)

// numbered is a report as hidraw's feature ioctls take it: report ID (always 0), then the 8 bytes.
// Source: reference yubikey-otp.md §1.4.
type numbered [1 + usbhid.ReportLen]byte

func feature(node *os.File) (usbhid.Report, error) {
	var buf numbered
	n, err := usbfs.Ioctl(node, hidiocgFeature9, unsafe.Pointer(&buf))
	if err != nil {
		return usbhid.Report{}, err
	}
	if n != len(buf) {
		return usbhid.Report{}, fmt.Errorf("feature report of %d bytes, want %d", n-1, usbhid.ReportLen)
	}
	return usbhid.Report(buf[1:]), nil
}

func setFeature(node *os.File, r usbhid.Report) error {
	var buf numbered
	copy(buf[1:], r[:])
	_, err := usbfs.Ioctl(node, hidiocsFeature9, unsafe.Pointer(&buf))
	return err
}

// identify checks that the node is the OTP interface of a key with this product ID: the node's number may have been
// given to another device since sysfs was read.
func identify(node *os.File, productID uint16) error {
	var info [8]byte // struct hidraw_devinfo: bus type u32, vendor u16, product u16, native order
	if _, err := usbfs.Ioctl(node, hidiocgRawInfo, unsafe.Pointer(&info)); err != nil {
		return fmt.Errorf("device information: %w", err)
	}
	vendor, product := binary.NativeEndian.Uint16(info[4:]), binary.NativeEndian.Uint16(info[6:])
	if vendor != usbhid.VendorID || product != productID {
		return fmt.Errorf("node belongs to %04x:%04x, want %04x:%04x: %w", vendor, product, usbhid.VendorID, productID, usbhid.ErrGone)
	}
	descriptor, err := reportDescriptor(node)
	if err != nil {
		return fmt.Errorf("report descriptor: %w", err)
	}
	if page, usage, ok := firstUsage(descriptor); !ok || page != pageDesktop || usage != usageKeyboard {
		return errors.New("report descriptor is not that of a keyboard")
	}
	return nil
}

func reportDescriptor(node *os.File) ([]byte, error) {
	var size uint32
	if _, err := usbfs.Ioctl(node, hidiocgDescSize, unsafe.Pointer(&size)); err != nil {
		return nil, err
	}
	var desc struct { // struct hidraw_report_descriptor; 4096 = HID_MAX_DESCRIPTOR_SIZE
		size  uint32
		value [4096]byte
	}
	desc.size = min(size, uint32(len(desc.value)))
	if _, err := usbfs.Ioctl(node, hidiocgDesc, unsafe.Pointer(&desc)); err != nil {
		return nil, err
	}
	return desc.value[:desc.size], nil
}

func grabInput(event *os.File) error {
	conn, err := event.SyscallConn()
	if err != nil {
		return err
	}
	var grabErr error
	if err := conn.Control(func(fd uintptr) {
		grabErr = unix.IoctlSetInt(int(fd), eviocGrab, 1)
	}); err != nil {
		return err
	}
	return grabErr
}
