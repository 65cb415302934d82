package radius

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

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

// answerFrom is what goes back with an answer, of what came beside the packet, which becomes its own: the address, without the interface.
// That is for the routing table to say, as a packet may come in by another one than its answer has to leave by; only a link-local address
// means nothing without it.
func answerFrom(side []byte, from netip.Addr) []byte {
	back := append([]byte(nil), side...)
	if from.Unmap().IsLinkLocalUnicast() {
		return back
	}
	for rest := back; len(rest) > 0; {
		head, data, after, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return nil // the system chooses the address
		}
		switch {
		case head.Level == unix.IPPROTO_IP && head.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			binary.NativeEndian.PutUint32(data, 0) // ipi_ifindex is its first field
		case head.Level == unix.IPPROTO_IPV6 && head.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			binary.NativeEndian.PutUint32(data[net.IPv6len:], 0) // ipi6_ifindex is its second
		}
		rest = after
	}
	return back
}
