package usbfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Requests of usbfs, in the encoding of asm-generic/ioctl.h (not of mips, powerpc and sparc). All of them need the node
// open for writing. Source: Linux include/uapi/linux/usbdevice_fs.h.
const (
	usbdevfsConnect   = 0x5517     // _IO('U', 23), only inside usbdevfsIoctl
	usbdevfsGetDriver = 0x41045508 // _IOW('U', 8, struct usbdevfs_getdriver), 260 bytes
	// _IOWR('U', 18, struct usbdevfs_ioctl); the size, in bits 16 to 29, depends on the width of a pointer.
	usbdevfsIoctl = 0xC0005512 | unsafe.Sizeof(ioctlRequest{})<<16
)

// keyboard is the number of the OTP interface. Source: reference yubikey-otp.md §1.2.
const keyboard = 0

// getDriver is struct usbdevfs_getdriver.
type getDriver struct {
	itf  uint32
	name [256]byte // zero-terminated
}

// ioctlRequest is struct usbdevfs_ioctl.
type ioctlRequest struct {
	itf  int32
	code int32
	data unsafe.Pointer
}

// Lock is a key held by this process against other users of this package. It is not for concurrent use.
type Lock struct{ node *os.File }

// Acquire takes the lock of a key without waiting: ErrBusy if another process (or another Lock in this one) has it,
// ErrPermission if neither the usbfs nor the hidraw node may be opened, ErrGone if there is no such node.
func Acquire(k usbhid.Attached) (*Lock, error) {
	node, err := open(k.USBNode, os.O_RDONLY)
	if errors.Is(err, usbhid.ErrPermission) && k.HIDRaw != "" {
		if raw, rawErr := open(k.HIDRaw, os.O_RDONLY); rawErr == nil {
			node, err = raw, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if err := flock(node); err != nil {
		node.Close()
		return nil, fmt.Errorf("lock %s: %w", node.Name(), err)
	}
	return &Lock{node}, nil
}

// Close gives the lock back, also where a process that was just started still has the node, too, for a moment. It may be called more than
// once.
func (l *Lock) Close() error {
	_ = control(l.node, func(fd uintptr) error { return unix.Flock(int(fd), unix.LOCK_UN) }) // closed before, or ends with the node
	if err := l.node.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("unlock %s: %w", l.node.Name(), err)
	}
	return nil
}

func flock(f *os.File) error {
	err := control(f, func(fd uintptr) error {
		return unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
	})
	if errors.Is(err, unix.EWOULDBLOCK) {
		return usbhid.ErrBusy
	}
	return err
}

// Connect asks the kernel to find a driver for interface 0, as after plugging in; the caller holds the Lock. A driver
// that is already bound is success. ErrBusy: some program holds the interface through usbfs. ErrPermission: the node may
// not be opened for writing. On return hid nodes exist again, unless the driver module had to be loaded first.
func Connect(k usbhid.Attached) error {
	node, err := open(k.USBNode, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("attach keyboard of %s: %w", k.Path, err)
	}
	defer node.Close()
	if err := connect(node); err != nil {
		return fmt.Errorf("attach keyboard of %s: %w", k.Path, err)
	}
	return nil
}

func connect(node *os.File) error {
	driver := getDriver{itf: keyboard}
	_, err := Ioctl(node, usbdevfsGetDriver, unsafe.Pointer(&driver))
	switch name, _, _ := bytes.Cut(driver.name[:], []byte{0}); {
	case err == nil && string(name) == "usbfs":
		return usbhid.ErrBusy
	case err == nil:
		return nil
	case errors.Is(err, unix.ENODEV):
		return usbhid.ErrGone
	case !errors.Is(err, unix.ENODATA): // ENODATA: no driver
		return err
	}
	bound, err := Ioctl(node, usbdevfsIoctl, unsafe.Pointer(&ioctlRequest{itf: keyboard, code: usbdevfsConnect}))
	switch {
	case errors.Is(err, unix.EBUSY):
		return usbhid.ErrBusy // another program was faster
	case errors.Is(err, unix.ENODEV):
		return usbhid.ErrGone
	case err != nil:
		return err
	case bound == 0:
		return errors.New("no driver took interface 0")
	}
	return nil
}

func open(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, usbhid.Denied(path)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("open %s: %w", path, usbhid.ErrGone)
	case err != nil:
		return nil, err
	}
	return f, nil
}
