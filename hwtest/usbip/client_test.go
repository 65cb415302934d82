package usbip

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// serve exports keys on a port of the system's choice.
func serve(t *testing.T, keys ...*vkey.Key) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, keys...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// host is a USB/IP client that is written from the protocol's description alone.
type host struct {
	t    *testing.T
	conn net.Conn
	seq  uint32
}

func dial(t *testing.T, addr string) *host {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &host{t: t, conn: conn}
}

func (h *host) read(n int) []byte {
	h.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(h.conn, b); err != nil {
		h.t.Fatalf("read %d bytes: %v", n, err)
	}
	return b
}

func (h *host) write(b []byte) {
	h.t.Helper()
	if _, err := h.conn.Write(b); err != nil {
		h.t.Fatal(err)
	}
}

// attach imports a bus id and returns the status and the 312 bytes of the device.
func attach(t *testing.T, addr, busID string) (*host, uint32, []byte) {
	t.Helper()
	h := dial(t, addr)
	var id [32]byte
	copy(id[:], busID)
	h.write(append([]byte{0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0}, id[:]...))
	head := h.read(8)
	if got := hex.EncodeToString(head[:4]); got != "01110003" {
		t.Fatalf("import reply %s", got)
	}
	status := binary.BigEndian.Uint32(head[4:])
	if status != 0 {
		return h, status, nil
	}
	return h, 0, h.read(312)
}

// submit sends a transfer and returns its sequence number.
func (h *host) submit(in bool, ep uint32, length int, setup [8]byte, data []byte) uint32 {
	h.t.Helper()
	h.seq++
	b := make([]byte, 48)
	dir := uint32(0)
	if in {
		dir = 1
	}
	for i, w := range []uint32{1, h.seq, 0x00010001, dir, ep, 0, uint32(length)} {
		binary.BigEndian.PutUint32(b[4*i:], w)
	}
	copy(b[40:], setup[:])
	h.write(append(b, data...))
	return h.seq
}

// reap reads one reply: command, sequence number, status, data of an IN transfer.
func (h *host) reap(in bool) (command, seq uint32, status int32, data []byte) {
	h.t.Helper()
	b := h.read(48)
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	if command = word(0); command == 3 && in {
		data = h.read(int(word(6)))
	}
	return command, word(1), int32(word(5)), data
}

// control runs one control transfer, given as setup bytes in hexadecimal, and returns its status and data.
func (h *host) control(setup string, out ...byte) (int32, []byte) {
	h.t.Helper()
	s, err := hex.DecodeString(setup)
	if err != nil {
		h.t.Fatal(err)
	}
	in := s[0]&0x80 != 0
	length := int(binary.LittleEndian.Uint16(s[6:]))
	seq := h.submit(in, 0, length, [8]byte(s), out)
	command, got, status, data := h.reap(in)
	if command != 3 || got != seq {
		h.t.Fatalf("reply %d to %d, want 3 to %d", command, got, seq)
	}
	return status, data
}

// set and get are the feature reports of §1.4.
func (h *host) set(report string) {
	h.t.Helper()
	b, err := hex.DecodeString(report)
	if err != nil {
		h.t.Fatal(err)
	}
	if status, _ := h.control("2109000300000800", b...); status != 0 {
		h.t.Fatalf("SET %s: status %d", report, status)
	}
}

func (h *host) get() string {
	h.t.Helper()
	status, data := h.control("a101000300000800")
	if status != 0 {
		h.t.Fatalf("GET: status %d", status)
	}
	return hex.EncodeToString(data)
}

// closed says whether the server has hung up.
func (h *host) closed() bool {
	_, err := h.conn.Read(make([]byte, 1))
	return err != nil
}

// unlink cancels a transfer.
func (h *host) unlink(victim uint32) uint32 {
	h.t.Helper()
	h.seq++
	b := make([]byte, 48)
	for i, w := range []uint32{2, h.seq, 0x00010001, 0, 0, victim} {
		binary.BigEndian.PutUint32(b[4*i:], w)
	}
	h.write(b)
	return h.seq
}

// writeURB is the other direction of readURB.
func writeURB(u urb) []byte {
	b := make([]byte, 48)
	words := []uint32{1, u.seq, u.devID, 0, u.ep, u.flags, u.length, u.startFrame, u.packets, u.interval}
	if u.unlink {
		words = []uint32{2, u.seq, u.devID, 0, u.ep, u.victim}
	}
	if u.in {
		words[3] = 1
	}
	for i, w := range words {
		binary.BigEndian.PutUint32(b[4*i:], w)
	}
	copy(b[40:], u.setup[:])
	return append(b, u.data...)
}

// utf16LE is ASCII text as a string descriptor has it, in hexadecimal.
func utf16LE(s string) string {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return hex.EncodeToString(b)
}
