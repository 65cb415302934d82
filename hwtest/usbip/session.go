package usbip

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// session is one attached key.
//
// Locks: mu before the key's own; keysMu last, because typed reports come with the key locked.
type session struct {
	key  *vkey.Key
	dev  device
	gone <-chan struct{}

	mu      sync.Mutex // one message at a time on conn, and what belongs with it
	conn    net.Conn
	waiting []uint32 // interrupt IN transfers of the keyboard, oldest first
	silent  []uint32 // those of the FIDO interface: never answered
	broken  bool

	keysMu sync.Mutex
	keys   []usbhid.Report
	wake   chan struct{} // holds a token when keys or waiting have grown
}

func newSession(conn net.Conn, k *vkey.Key, d device) *session {
	return &session{key: k, dev: d, gone: k.Gone(), conn: conn, wake: make(chan struct{}, 1)}
}

// run serves transfers until the client detaches, the key is unplugged or ctx is done.
func (s *session) run(ctx context.Context) {
	unsubscribe := s.key.Subscribe(s.typed)
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	defer unsubscribe()
	helpers.Go(func() { s.typeKeys(ctx) })
	helpers.Go(func() {
		select {
		case <-s.gone:
		case <-ctx.Done():
		}
		s.hangUp()
	})
	for {
		u, err := readURB(s.conn)
		if err != nil {
			return
		}
		s.handle(u)
	}
}

// hangUp closes the connection between two messages: the report that unplugs the key is answered first.
func (s *session) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.Close()
}

// typed takes a keyboard report; the key is locked meanwhile.
func (s *session) typed(r usbhid.Report) {
	s.keysMu.Lock()
	s.keys = append(s.keys, r)
	s.keysMu.Unlock()
	s.notify()
}

func (s *session) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// typeKeys answers the keyboard's transfers, one report in keyInterval.
func (s *session) typeKeys(ctx context.Context) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		for s.typeOne() {
			select {
			case <-time.After(keyInterval * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
	}
}

// typeOne answers the oldest transfer with the oldest report, if there are both.
func (s *session) typeOne() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	if len(s.keys) == 0 || len(s.waiting) == 0 {
		return false
	}
	s.send(reply(retSubmit, s.waiting[0], 0, usbhid.ReportLen, s.keys[0][:]))
	s.keys, s.waiting = s.keys[1:], s.waiting[1:]
	return true
}

// handle runs one request. The answer is sent before the lock is given up, so that an unlink never crosses it.
func (s *session) handle(u urb) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case u.unlink:
		status := int32(0) // too late: it was answered
		for _, list := range []*[]uint32{&s.waiting, &s.silent} {
			if i := slices.Index(*list, u.victim); i >= 0 {
				*list = slices.Delete(*list, i, i+1)
				status = statusUnlink
			}
		}
		s.send(reply(retUnlink, u.seq, status, 0, nil))
	case u.ep == 0:
		s.control(u)
	case u.in && u.ep == epOTP&epNumber && s.has(vkey.OTP):
		s.waiting = append(s.waiting, u.seq)
		s.notify()
	case u.in && u.ep == epFIDOIn&epNumber && s.has(vkey.FIDO):
		s.silent = append(s.silent, u.seq)
	case !u.in && u.ep == epFIDO && s.has(vkey.FIDO):
		s.send(reply(retSubmit, u.seq, 0, len(u.data), nil))
	default:
		s.send(reply(retSubmit, u.seq, statusStall, 0, nil))
	}
}

func (s *session) has(kind vkey.Interface) bool {
	return slices.ContainsFunc(s.dev.ifaces, func(i iface) bool { return i.kind == kind })
}

// send writes one message; after an error the connection is closed, which ends run.
func (s *session) send(b []byte) {
	if s.broken {
		return
	}
	if _, err := s.conn.Write(b); err != nil {
		s.broken = true
		s.conn.Close()
	}
}
