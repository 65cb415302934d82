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
	waiting []uint32         // interrupt IN transfers of the keyboard, oldest first
	pipes   map[uint32]*pipe // the other IN endpoints, by number
	broken  bool
	pending int           // packets for the reader that are not worked off
	sent    chan struct{} // holds a token when a message was delivered, or a packet worked off
	packets chan []byte   // for the reader

	keysMu sync.Mutex
	keys   []usbhid.Report
	wake   chan struct{} // holds a token when keys or waiting have grown
}

func newSession(conn net.Conn, k *vkey.Key, d device) *session {
	s := &session{
		key: k, dev: d, gone: k.Gone(), conn: conn, wake: make(chan struct{}, 1), sent: make(chan struct{}, 1),
		pipes: map[uint32]*pipe{}, packets: make(chan []byte, maxQueued),
	}
	for _, i := range d.ifaces {
		for _, e := range i.endpoints {
			if e.address&^epNumber != 0 && i.kind != vkey.OTP {
				s.pipes[uint32(e.address&epNumber)] = &pipe{}
			}
		}
	}
	return s
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
	helpers.Go(func() { s.read(ctx) })
	helpers.Go(func() {
		select {
		case <-s.gone:
		case <-ctx.Done():
		}
		s.hangUp(ctx)
	})
	for {
		u, err := readURB(s.conn)
		if err != nil {
			return
		}
		s.handle(u)
	}
}

// lastWords is how long a key that is gone stays attached while the host, which may be busy, has not fetched what it said last.
const lastWords = 10 * time.Second

// hangUp closes the connection between two messages: the report that unplugs the key, and the answer to the command that
// does, come first.
func (s *session) hangUp(ctx context.Context) {
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	for s.unsaid() {
		select {
		case <-s.sent:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		break
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.Close()
}

// unsaid says whether the last answer of the card or of FIDO was not fetched.
func (s *session) unsaid() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending > 0 && !s.broken {
		return true
	}
	for _, p := range s.pipes {
		if len(p.messages) > 0 && !s.broken {
			return true
		}
	}
	return false
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
		if s.forget(u.victim) {
			status = statusUnlink
		}
		s.send(reply(retUnlink, u.seq, status, 0, nil))
	case u.ep == 0:
		s.control(u)
	case u.in && u.ep == epOTP&epNumber && s.has(vkey.OTP):
		s.waiting = append(s.waiting, u.seq)
		s.notify()
	case u.in && s.pipes[u.ep] != nil:
		s.pipes[u.ep].waiting = append(s.pipes[u.ep].waiting, u)
		s.deliver(u.ep)
	case !u.in && u.ep == epFIDO && s.has(vkey.FIDO):
		s.send(reply(retSubmit, u.seq, 0, len(u.data), nil))
		s.queue(epFIDOIn&epNumber, answerFIDO(s.key, u.data))
		s.key.Settle()
	case !u.in && u.ep == epCCID && s.has(vkey.CCID):
		select {
		case s.packets <- u.data:
			s.pending++
			s.send(reply(retSubmit, u.seq, 0, len(u.data), nil))
		default:
			s.send(reply(retSubmit, u.seq, statusStall, 0, nil))
		}
	default:
		s.send(reply(retSubmit, u.seq, statusStall, 0, nil))
	}
}

// read is the smart-card reader: it works packets off, one after the other, while reports and transfers go on.
func (s *session) read(ctx context.Context) {
	put := func(done int, messages ...[]byte) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending -= done
		s.queue(epCCIDIn&epNumber, messages)
		s.spoke()
	}
	r := ccid{card: s.key.Card(), max: ccidMessageLen, ended: ctx.Done(), extend: func(m []byte) { put(0, m) }}
	if isNEO(s.dev.usb.PID) {
		r.max = ccidMessageLenNEO
	}
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-s.packets:
			put(1, r.take(b)...)
		}
	}
}

// forget takes back a transfer that waits.
func (s *session) forget(seq uint32) bool {
	if i := slices.Index(s.waiting, seq); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return true
	}
	for _, p := range s.pipes {
		if p.forget(seq) {
			return true
		}
	}
	return false
}

// maxQueued bounds the messages that a host sends for and does not fetch; the oldest go first.
const maxQueued = 64

// queue has messages wait on an endpoint, and answers the transfers that wait for them.
func (s *session) queue(ep uint32, messages [][]byte) {
	p := s.pipes[ep]
	p.messages = append(p.messages, messages...)
	if n := len(p.messages) - maxQueued; n > 0 {
		p.messages = p.messages[n:]
	}
	s.deliver(ep)
}

func (s *session) deliver(ep uint32) {
	for {
		u, data, ok := s.pipes[ep].next()
		if !ok {
			return
		}
		s.send(reply(retSubmit, u.seq, 0, len(data), data))
		s.spoke()
	}
}

// spoke wakes hangUp.
func (s *session) spoke() {
	select {
	case s.sent <- struct{}{}:
	default:
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
