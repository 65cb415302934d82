package radius

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// sideLen is enough for the destination of a packet, of IPv4 and IPv6: struct in_pktinfo (12 bytes) and in6_pktinfo (20), each after
// a struct cmsghdr (16).
const sideLen = 96

// tellDestination has the system say to which address of this machine a packet came. Given back with the answer, that is the address it
// leaves from: a device drops what comes from another. Source: ip(7), ipv6(7).
func tellDestination(conn *net.UDPConn) error {
	rc, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var four, six error
	err = rc.Control(func(fd uintptr) {
		four = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		six = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	})
	if err == nil && four != nil && six != nil { // a socket of one kind does not know the other
		err = errors.Join(four, six)
	}
	return err
}
