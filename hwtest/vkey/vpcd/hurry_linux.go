package vpcd

import (
	"net"
	"syscall"
)

// hurry has what comes in acknowledged at once: the driver sends length and command one after the other, and the second
// waits for the acknowledgement of the first, 40 ms otherwise. It lasts for some packets only.
func hurry(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it, it is slow
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
