package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/validate/front"
)

// How many connections a server holds at once: an idle one takes some 20 KB. The rest of the files are for the store.
const (
	maxConnections = 16_384
	otherFiles     = 256
)

// places is how many connections the limit of open files leaves room for; 0 stands for a limit that nobody knows.
func places(fileLimit int) int {
	if fileLimit == 0 {
		return maxConnections
	}
	return max(min(maxConnections, fileLimit-otherFiles), fileLimit/2)
}

// entrances opens the sockets that HTTP is served on: those that the service manager passed and no part has taken, otherwise --listen.
func (s *serving) entrances(ctx context.Context) ([]net.Listener, error) {
	if list := s.sockets.Streams(""); len(list) > 0 {
		return list, nil
	}
	if left := s.sockets.Left(); len(left) > 0 {
		return nil, problemf(exitError, "no part of serve wants the socket %q", left[0])
	}
	path, unix := strings.CutPrefix(s.listen, "unix:")
	if unix {
		l, err := listenUnix(ctx, path)
		return []net.Listener{l}, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return nil, listenProblem(err, s.listen)
	}
	return []net.Listener{l}, nil
}

// listenUnix makes a socket that its owner and group may use, in the place of one that nobody listens on any more.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		d := net.Dialer{Timeout: time.Second}
		c, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			_ = c.Close() // nothing was said
		} else if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, listenProblem(err, "unix:"+path)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func listenProblem(err error, address string) error {
	p := problemf(exitError, "cannot listen on %s: %s", address, oneLine(errors.Unwrap(err)))
	if errors.Unwrap(err) == nil {
		p.line = oneLine(err)
	}
	return p.hint("choose another address or port: --listen 127.0.0.1:PORT")
}

// announce says where the server is, and what is unwise about it.
func (s *serving) announce(list []net.Listener) {
	scheme := "http"
	if s.certificates != nil {
		scheme = "https"
	}
	for _, l := range list {
		url := scheme + "://" + l.Addr().String() + "/wsapi/2.0/verify"
		switch at := l.Addr().(type) {
		case *net.UnixAddr:
			url = "unix:" + at.Name
		case *net.TCPAddr:
			if !at.IP.IsLoopback() && s.certificates == nil {
				s.log.Warn("reachable from other machines without TLS", "address", l.Addr().String())
			}
		}
		s.log.Info("serving", "url", url)
		if s.listening != nil {
			s.listening(l.Addr())
		}
	}
	if limit := front.FileLimit(); limit > 0 && limit-otherFiles < maxConnections {
		s.log.Warn(fmt.Sprintf("the limit of open files leaves room for %d connections, not %d", places(limit), maxConnections), "limit", limit)
	}
}
