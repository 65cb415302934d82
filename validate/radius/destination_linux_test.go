package radius

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAnswerFrom: the routing table says by which interface an answer leaves, and an answer to a link-local address leaves by the one
// that the packet came in by.
func TestAnswerFrom(t *testing.T) {
	t.Parallel()
	info4, info6 := make([]byte, unix.SizeofInet4Pktinfo), make([]byte, unix.SizeofInet6Pktinfo)
	const index = 0x01020304
	binary.NativeEndian.PutUint32(info4, index)
	copy(info4[4:], []byte{192, 0, 2, 1})
	copy(info6, netip.MustParseAddr("2001:db8::1").AsSlice())
	binary.NativeEndian.PutUint32(info6[16:], index)
	message := func(level, kind int, data []byte) []byte {
		b := make([]byte, unix.CmsgSpace(len(data)))
		n := unix.CmsgLen(0)
		if n == 16 {
			binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
		} else {
			binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(len(data))))
		}
		binary.NativeEndian.PutUint32(b[n-8:], uint32(level))
		binary.NativeEndian.PutUint32(b[n-4:], uint32(kind))
		copy(b[n:], data)
		return b
	}
	side := append(message(unix.IPPROTO_IP, unix.IP_PKTINFO, info4), message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, info6)...)
	came := bytes.Clone(side)
	clear(info4[:4])
	clear(info6[16:])
	routed := append(message(unix.IPPROTO_IP, unix.IP_PKTINFO, info4), message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, info6)...)
	for from, want := range map[string][]byte{
		"192.0.2.9": routed, "::ffff:192.0.2.9": routed, "2001:db8::9": routed, "fe80::9%lo": came, "169.254.0.9": came,
	} {
		if got := answerFrom(side, netip.MustParseAddr(from)); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", from, got, want)
		}
	}
	if !bytes.Equal(side, came) {
		t.Error("it changes what it was given")
	}
	if got := answerFrom(side[:len(side)-5], netip.MustParseAddr("192.0.2.9")); got != nil {
		t.Errorf("of what is cut off: %x", got)
	}
}
