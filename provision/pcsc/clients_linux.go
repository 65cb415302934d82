package pcsc

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// What is asked of the kernel about Unix sockets. Source: linux/sock_diag.h, linux/unix_diag.h.
const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagName     = 0  // UNIX_DIAG_NAME: the path
	diagPeer     = 2  // UNIX_DIAG_PEER: u32, the other end's inode
	showNamePeer = 1<<0 | 1<<2
	requestLen   = unix.SizeofNlMsghdr + 24
	answerLen    = 16 // before its attributes
	diagAnyState = 0xFFFFFFFF
)

// clients are the sockets, named as in /proc/PID/fd, that are connected to who listens at a path. Where the kernel does not tell, there are none.
func clients(path string) map[string]bool {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	n := binary.NativeEndian
	q := n.AppendUint32(nil, requestLen)
	q = n.AppendUint16(q, diagByFamily)
	q = n.AppendUint16(q, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	q = append(q, make([]byte, 8)...)                 // sequence, port
	q = append(q, unix.AF_UNIX, 0, 0, 0)              // family, protocol
	q = n.AppendUint32(q, diagAnyState)               // in any state
	q = n.AppendUint32(q, 0)                          // any inode
	q = n.AppendUint32(q, showNamePeer)               // what is wanted
	q = append(q, make([]byte, requestLen-len(q))...) // cookie
	if err := unix.Sendto(fd, q, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil
	}
	found := map[string]bool{}
	buf := make([]byte, 1<<16)
	for {
		size, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil || size == 0 || !addClients(found, buf[:size], path) {
			return found
		}
	}
}

// addClients reads one datagram of answers; false: it was the last.
func addClients(found map[string]bool, b []byte, path string) bool {
	n := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		size, kind := int(n.Uint32(b)), n.Uint16(b[4:])
		if size < unix.SizeofNlMsghdr || size > len(b) || kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR {
			return false
		}
		if body := b[unix.SizeofNlMsghdr:size]; kind == diagByFamily && len(body) >= answerLen {
			if name, peer := attributes(body[answerLen:]); name == path && peer != 0 {
				found[fmt.Sprintf("socket:[%d]", peer)] = true
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return true
}

// attributes finds a socket's path and its other end.
func attributes(b []byte) (path string, peer uint32) {
	n := binary.NativeEndian
	for len(b) >= unix.SizeofNlAttr {
		size := int(n.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			break
		}
		switch v := b[unix.SizeofNlAttr:size]; n.Uint16(b[2:]) {
		case diagName:
			path = unix.ByteSliceToString(v)
		case diagPeer:
			if len(v) == 4 {
				peer = n.Uint32(v)
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return path, peer
}
