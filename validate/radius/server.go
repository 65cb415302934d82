package radius

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	rad "layeh.com/radius"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

const (
	// patience bounds how long one request is worked on. A decision that has begun is finished, whether or not the device still waits.
	patience = 8 * time.Second
	// rejectAfter is when an Access-Reject leaves, counted from the request: so the time tells little about what was wrong, and guessing
	// is slow. FreeRADIUS has the same reject_delay.
	rejectAfter = time.Second
	// freshFor is how old the list of devices may be.
	freshFor = 500 * time.Millisecond
	// mostUnderWay is how many requests are decided at once.
	mostUnderWay = 1000
	// mostFailures is how often in a row reading may fail.
	mostFailures = 1000
)

// Checker decides about factors, as validate.Checker does.
type Checker interface {
	Check(ctx context.Context, f validate.Factor) (validate.Checked, error)
	Note(ctx context.Context, checked validate.Checked) error
}

// Doctor finds out why something was refused, and keeps it under a support code, as diagnose.Doctor does.
type Doctor interface {
	Diagnose(ctx context.Context, q diagnose.Question) ([]diagnose.Finding, error)
	Keep(ctx context.Context, code string, a diagnose.Attempt) error
}

// Persons finds a person by account; token.ErrNotFound.
type Persons interface {
	Person(ctx context.Context, account string) (token.Person, error)
}

// Config is what a Server works with. All but Log, Observer and Limit must be set.
type Config struct {
	Checker Checker
	NASes   validate.NASes
	Clients validate.Clients
	Persons Persons
	Doctor  Doctor
	Now     func() time.Time
	Rand    io.Reader    // crypto/rand.Reader outside tests
	Log     *slog.Logger // of what was dropped; nil: none
	// Limit reports whether a client or a device, by its address, asks too often; nil: never.
	Limit func(c validate.Client, source string) bool
	// Observer is told of every request that was decided; nil: nobody is.
	Observer validate.Observer
}

// Server answers. Make it with New. It is safe for concurrent use, by several connections too: they share what was asked before.
type Server struct {
	Config
	seen  seen
	drops drops
	busy  chan struct{} // a place is taken by sending

	mu   sync.Mutex // of list
	list []validate.NAS
	at   time.Time // when list was read
	err  error     // why it was not
}

// New returns a Server.
func New(c Config) *Server {
	return &Server{Config: c, drops: drops{log: c.Log}, busy: make(chan struct{}, mostUnderWay)}
}

// Dropped is how many packets had no answer, by reason: each Drop, from 0.
func (s *Server) Dropped() map[string]uint64 { return s.drops.counts() }

// Serve answers what comes to a connection until ctx ends; then it finishes what is under way, and returns nil. It does not close the
// connection.
func (s *Server) Serve(ctx context.Context, conn *net.UDPConn) error {
	if err := tellDestination(conn); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	var work sync.WaitGroup
	defer work.Wait()
	buf, side := make([]byte, rad.MaxPacketLength+1), make([]byte, sideLen)
	for failed := 0; ; {
		n, m, _, from, err := conn.ReadMsgUDPAddrPort(buf, side)
		if failed++; err == nil {
			failed = 0
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed), failed > mostFailures:
			return err
		case err != nil || n > rad.MaxPacketLength: // some systems report what happened to an earlier answer, or a longer packet
			s.drops.add(DropMalformed, from, s.Now())
			continue
		}
		back := answerFrom(side[:m], from.Addr())
		s.receive(ctx, &work, buf[:n], from, func(raw []byte) {
			if _, _, err := conn.WriteMsgUDPAddrPort(raw, back, from); err != nil && s.Log != nil {
				s.Log.Error("radius: answer", "source", from.Addr().Unmap().String(), "error", err.Error())
			}
		})
	}
}

// request is an authentic one.
type request struct {
	nas    validate.NAS
	secret []byte // of those of the NAS the one that it was made with
	packet *rad.Packet
	source string
	start  time.Time
	err    error // why the store does not tell whose it is
}

// receive drops a packet, answers it as it did before, or has it decided. packet is not kept.
func (s *Server) receive(ctx context.Context, work *sync.WaitGroup, packet []byte, from netip.AddrPort, send func([]byte)) {
	now := s.Now()
	q, key, why := s.authenticate(ctx, packet, from, now)
	if why != "" {
		attrs := []any{"device", q.nas.Name}
		if q.err != nil {
			attrs = append(attrs, "error", q.err.Error())
		}
		s.drops.add(why, from, now, attrs...)
		return
	}
	if before, isNew := s.seen.begin(key, now); !isNew {
		if before != nil {
			send(before)
		}
		return
	}
	select {
	case s.busy <- struct{}{}:
	default:
		s.seen.end(key, nil)
		s.drops.add(DropBusy, from, now, "device", q.nas.Name)
		return
	}
	work.Go(func() { s.serve(ctx, q, key, send) })
}

// authenticate finds whose request it is, and the secret that it was made with. What nobody has signed costs little: it is read no
// further than that takes.
func (s *Server) authenticate(ctx context.Context, packet []byte, from netip.AddrPort, now time.Time) (request, asked, Drop) {
	q := request{source: from.Addr().Unmap().WithZone("").String(), start: now}
	var list []validate.NAS
	if list, q.err = s.nases(ctx, now); q.err != nil {
		return q, asked{}, DropStore
	}
	var ok bool
	if q.nas, ok = validate.FindNAS(list, from.Addr()); !ok {
		return q, asked{}, DropUnknown
	}
	raw, ok := frame(packet)
	if !ok {
		return q, asked{}, DropMalformed
	}
	if code := rad.Code(raw[0]); code != rad.CodeAccessRequest && code != rad.CodeStatusServer {
		return q, asked{}, DropCode
	}
	at, ok := macAt(raw)
	if !ok {
		return q, asked{}, DropUnsigned
	}
	for _, k := range q.nas.Secrets {
		if !authentic(raw, k.Reveal()) {
			continue
		}
		p, err := rad.Parse(raw, nil)
		if err != nil {
			return q, asked{}, DropMalformed
		}
		q.secret, q.packet = k.Reveal(), p
		return q, asked{from, raw[0], p.Identifier, p.Authenticator, [macLen]byte(raw[at:])}, ""
	}
	return q, asked{}, DropSecret
}

// nases are the devices as they were freshFor ago or later.
func (s *Server) nases(ctx context.Context, now time.Time) ([]validate.NAS, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || now.Sub(s.at).Abs() >= freshFor {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		s.list, s.err = s.NASes.NASes(ctx)
		s.at = now
	}
	return s.list, s.err
}

// serve decides about a request, sends the answer and does what is left. Where there is no answer, a device may ask another server, or the
// same again.
func (s *Server) serve(ctx context.Context, q request, key asked, send func([]byte)) {
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	v := s.decide(soon, q)
	<-s.busy
	if v.drop != "" {
		s.drops.add(v.drop, key.from, q.start, "device", q.nas.Name)
	}
	var raw []byte
	if v.code != 0 {
		var err error
		if raw, err = sealAnswer(q.packet, v.code, v.say, q.secret); err != nil {
			v.event.Outcome, v.event.Err = outcomeFailed, errors.Join(v.event.Err, err)
		}
	}
	if v.code == rad.CodeAccessReject {
		wait(ctx, rejectAfter-s.Now().Sub(q.start))
	}
	s.seen.end(key, raw)
	if raw != nil {
		send(raw)
	}
	if v.drop != "" {
		return
	}
	if v.after != nil {
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		v.event.After = v.after(soon)
	}
	if s.Observer != nil {
		v.event.Took = s.Now().Sub(q.start)
		s.Observer.Answered(ctx, v.event)
	}
}

// wait returns after d, at most rejectAfter, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(min(d, rejectAfter))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
