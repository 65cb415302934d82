// Package usbip presents virtual keys as USB devices, by the USB/IP protocol: a Linux with vhci-hcd attaches them as if
// they were plugged in, and usbhid, hidraw, libusb and every client above see a YubiKey.
//
//	usbip.Serve(ctx, listener, key)   # then: usbip attach -r HOST -b 1-1
//
// The n-th key has the bus id 1-n. Its OTP interface takes feature reports and types on the interrupt endpoint, one
// report per 10 ms; its CCID interface carries commands to the card of the same key; its FIDO interface lets a client
// open it and ask which key it is, and has no authenticator. Unplugging a key drops its connection, which detaches it, and
// so does a reboot; attaching it again is a power cycle.
package usbip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// ErrInterface is a key that has no interface.
var ErrInterface = errors.New("key has no interface")

// Serve exports the keys until ctx is done, which is no error. It closes the listener and all connections before it
// returns. Errors: ErrInterface for a key that cannot be shown.
func Serve(ctx context.Context, l net.Listener, keys ...*vkey.Key) error {
	s := &server{}
	for n, k := range keys {
		if _, ok := describe(k); !ok {
			l.Close()
			return fmt.Errorf("key %d, PID %04x: %w", n+1, k.Profile().PID, ErrInterface)
		}
		s.exports = append(s.exports, &export{n: n + 1, key: k})
	}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		all.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			s.serve(ctx, conn)
		})
	}
}

// busID is the bus id of the n-th key, from 1.
func busID(n int) string { return "1-" + strconv.Itoa(n) }

type server struct{ exports []*export }

// export is one key and whether a client has it.
type export struct {
	n   int
	key *vkey.Key

	mu       sync.Mutex
	attached bool
	used     bool // it was attached before: the next attach is a power cycle
}

// serve answers one operation; after an import the connection belongs to the device.
func (s *server) serve(ctx context.Context, conn net.Conn) {
	q, err := readOp(conn)
	if err != nil {
		return // the client sees the connection close
	}
	if q.code == opReqDevlist {
		_, _ = conn.Write(s.devlist()) // the client is gone or has it
		return
	}
	for _, e := range s.exports {
		if busID(e.n) == q.name() {
			e.attach(ctx, conn)
			return
		}
	}
	_, _ = conn.Write(opReply(opRepImport, importNoDev))
}

// devlist shows the keys that are plugged in and free to attach or attached.
func (s *server) devlist() []byte {
	var list []byte
	n := uint32(0)
	for _, e := range s.exports {
		d, ok := describe(e.key)
		if !ok || gone(e.key) {
			continue
		}
		n++
		list = append(list, d.listing(e.n)...)
		list = append(list, d.interfaces()...)
	}
	b := binary.BigEndian.AppendUint32(opReply(opRepDevlist, 0), n)
	return append(b, list...)
}

// attach gives the key to the client until one of them goes away.
func (e *export) attach(ctx context.Context, conn net.Conn) {
	if !e.take() {
		_, _ = conn.Write(opReply(opRepImport, importBusy))
		return
	}
	defer e.release()
	d, ok := describe(e.key)
	if !ok || gone(e.key) {
		_, _ = conn.Write(opReply(opRepImport, importNoDev))
		return
	}
	if _, err := conn.Write(append(opReply(opRepImport, importOK), d.listing(e.n)...)); err != nil {
		return
	}
	newSession(conn, e.key, d).run(ctx)
}

func (e *export) take() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.attached {
		return false
	}
	if e.used && !gone(e.key) {
		e.key.PowerCycle()
	}
	e.attached, e.used = true, true
	return true
}

func (e *export) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attached = false
}

func gone(k *vkey.Key) bool {
	select {
	case <-k.Gone():
		return true
	default:
		return false
	}
}
