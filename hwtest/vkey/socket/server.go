// Package socket puts a virtual key into another process: Serve holds the vkey.Key, Dial is a usbhid.Device.
//
// A test that kills the program under test keeps the key alive this way. A connection holds the key as an open device
// does; when the client dies, the operating system drops the connection and the key is free again. Only the process
// that serves can touch, unplug or break the key.
package socket

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// releaseWait is how long a new connection waits for the one before to let go: a client that ended or was killed is noticed a
// moment after, on a busy machine later.
const releaseWait = 10 * time.Second

// Serve gives the key to one connection at a time until ctx is done, which is no error. It closes the listener and all
// connections before it returns.
func Serve(ctx context.Context, l net.Listener, k *vkey.Key) error {
	return serve(ctx, l, k, releaseWait)
}

func serve(ctx context.Context, l net.Listener, k *vkey.Key, patience time.Duration) error {
	s := &server{key: k, patience: patience, free: make(chan struct{}, 1)}
	s.free <- struct{}{}
	return accept(ctx, l, s.serve)
}

// accept has connections served until ctx is done.
func accept(ctx context.Context, l net.Listener, serve func(context.Context, net.Conn)) error {
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
			serve(ctx, conn)
		})
	}
}

type server struct {
	key      *vkey.Key
	patience time.Duration
	free     chan struct{} // holds a token while no connection has the key
}

// take waits for the token that is there while nobody has the key, false if it does not come within patience. One that is there is taken
// even so: this process may have stood still.
func take(ctx context.Context, free <-chan struct{}, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-free:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	select {
	case <-free:
		return true
	default:
		return false
	}
}

// open takes the key, waiting while another connection has it. Who holds it without a connection is not waited for.
func (s *server) open(ctx context.Context) (*vkey.Conn, error) {
	if !take(ctx, s.free, s.patience) {
		return nil, usbhid.ErrBusy
	}
	dev, err := s.key.Open()
	if err != nil {
		s.free <- struct{}{}
	}
	return dev, err
}

// serve answers one client until it hangs up.
func (s *server) serve(ctx context.Context, conn net.Conn) {
	dev, err := s.open(ctx)
	if err != nil {
		_ = writeMessage(conn, msgHello, byte(codeOf(err))) // the client sees the connection close in any case
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		dev.Close()
		s.free <- struct{}{}
	}()
	if writeMessage(conn, msgHello, hello(s.key)...) != nil {
		return
	}
	out := &lockedConn{Conn: conn}
	go out.input(ctx, dev)
	for {
		m, err := readMessage(conn)
		if err != nil {
			return
		}
		if err := out.answer(ctx, dev, m); err != nil {
			return
		}
	}
}

// hello is the body of the first message.
func hello(k *vkey.Key) []byte {
	p := k.Profile()
	b := binary.BigEndian.AppendUint16([]byte{byte(codeOK)}, p.PID)
	b = append(b, p.Version.Major, p.Version.Minor, p.Version.Build)
	return binary.BigEndian.AppendUint32(b, k.Serial())
}

// lockedConn lets answers and keyboard reports share a connection.
type lockedConn struct {
	net.Conn
	mu sync.Mutex
}

// answer runs one request. It holds the connection from the key's report to the answer, so that a key unplugged by this
// very report is not hung up on before the client has its answer.
func (c *lockedConn) answer(ctx context.Context, dev usbhid.Device, m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case m.kind == msgGet && len(m.body) == 0:
		r, err := dev.GetFeature(ctx)
		return writeMessage(c.Conn, msgGet, append([]byte{byte(codeOf(err))}, r[:]...)...)
	case m.kind == msgSet && len(m.body) == usbhid.ReportLen:
		err := dev.SetFeature(ctx, usbhid.Report(m.body))
		return writeMessage(c.Conn, msgSet, byte(codeOf(err)))
	}
	return errMalformed
}

// input passes on what the key types. When the key is unplugged it hangs up: a client that waits for a touch must see.
func (c *lockedConn) input(ctx context.Context, dev usbhid.Device) {
	for {
		r, err := dev.ReadInput(ctx)
		if !c.pass(r, err) {
			return
		}
	}
}

func (c *lockedConn) pass(r usbhid.Report, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err = writeMessage(c.Conn, msgInput, r[:]...)
	}
	if err != nil {
		c.Close()
	}
	return err == nil
}
