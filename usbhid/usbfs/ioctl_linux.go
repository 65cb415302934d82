package usbfs

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ioctl sends a request to a device node and returns its non-negative result, which package unix has no general
// function for; usbhid/hidraw uses it too. An interrupted request is repeated.
func Ioctl(f *os.File, request uintptr, arg unsafe.Pointer) (result int, err error) {
	err = control(f, func(fd uintptr) error {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		runtime.KeepAlive(arg)
		if errno != 0 {
			return errno
		}
		result = int(n)
		return nil
	})
	return result, err
}

// control runs op on f's descriptor, which stays open meanwhile; an interrupted call is repeated. A closed file gives
// os.ErrClosed (the error of RawConn.Control, which has no other cause, is internal to the standard library).
func control(f *os.File, op func(fd uintptr) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	if err := conn.Control(func(fd uintptr) {
		for opErr = op(fd); errors.Is(opErr, unix.EINTR); opErr = op(fd) {
		}
	}); err != nil {
		return os.ErrClosed
	}
	return opErr
}
