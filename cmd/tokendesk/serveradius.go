package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/pflag"

	"github.com/tokendesk/tokendesk/validate/radius"
)

// radiusSocket is the name of the datagram sockets that systemd passes for RADIUS.
const radiusSocket = "radius"

// radiusFlags adds the flags of this part.
func (o *serveOptions) radiusFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.radius, "radius", nil, "answer RADIUS there too, by UDP: address and port, such as 192.0.2.1:1812 or [::]:1812 (may be repeated)")
}

// answerRADIUS answers devices: see tokendesk radius add. What they asked before is known at every socket.
func (s *serving) answerRADIUS() error {
	passed := s.sockets.Packets(radiusSocket)
	if len(s.radius)+len(passed) == 0 {
		return nil
	}
	c := radius.Config{
		Checker: s.checker, NASes: s.st, Clients: s.st, Persons: s.st, Doctor: s.doctor, Now: s.now, Rand: s.rand, Log: s.log, Observer: s.observer,
		Limit: s.limits.tooOften,
	}
	server := radius.New(c)
	s.watch.metrics.Counters("tokendesk_radius_dropped_total", "Packets without an answer, by reason.", "reason", server.Dropped)
	for _, conn := range passed {
		if err := s.radiusAt(server, conn); err != nil {
			return err
		}
	}
	for _, address := range s.radius {
		var lc net.ListenConfig
		conn, err := lc.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			return problemf(exitError, "cannot listen on %s: %s", address, oneLine(err)).hint("choose another address or port: --radius 127.0.0.1:PORT")
		}
		if err := s.radiusAt(server, conn); err != nil {
			return err
		}
	}
	return nil
}

// radiusAt has a server answer at a socket, which is closed when nothing is under way any more.
func (s *serving) radiusAt(server *radius.Server, conn net.PacketConn) error {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return errors.Join(fmt.Errorf("the socket %q is not of UDP", radiusSocket), conn.Close())
	}
	s.after(func() { _ = udp.Close() })
	s.log.Info("serving RADIUS", "address", udp.LocalAddr().String())
	s.beside("RADIUS", func(ctx context.Context) error { return server.Serve(ctx, udp) })
	return nil
}
