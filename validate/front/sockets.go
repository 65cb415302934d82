package front

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstSocket is the descriptor of the first socket that is passed. Source: sd_listen_fds(3).
const firstSocket = 3

// Sockets are those that a service manager has opened for this process, by the names that its configuration gives them. Each is taken
// once. The zero value has none.
type Sockets struct {
	streams []stream
	packets []packet
}

type stream struct {
	name string
	net.Listener
}

type packet struct {
	name string
	net.PacketConn
}

// Inherit takes the sockets that the environment tells of, if it means the process pid. Source: sd_listen_fds_with_names(3).
func Inherit(getenv func(string) string, pid int) (*Sockets, error) {
	s := &Sockets{}
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return s, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS is no number")
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if err := s.add(name, uintptr(firstSocket+i)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// add takes a descriptor over. Package net makes a copy of its own, that child processes do not get.
func (s *Sockets) add(name string, fd uintptr) error {
	f := os.NewFile(fd, name)
	if f == nil {
		return fmt.Errorf("socket %d (%q): not open", fd, name)
	}
	defer func() { _ = f.Close() }()
	if l, err := net.FileListener(f); err == nil {
		s.streams = append(s.streams, stream{name, l})
		return nil
	}
	p, err := net.FilePacketConn(f)
	if err != nil {
		return fmt.Errorf("socket %d (%q): %w", fd, name, err)
	}
	s.packets = append(s.packets, packet{name, p})
	return nil
}

// Streams takes those of a name; for "", all that are left.
func (s *Sockets) Streams(name string) (list []net.Listener) {
	var left []stream
	for _, l := range s.streams {
		if name == "" || l.name == name {
			list = append(list, l.Listener)
		} else {
			left = append(left, l)
		}
	}
	s.streams = left
	return list
}

// Packets takes the datagram sockets of a name; for "", all that are left.
func (s *Sockets) Packets(name string) (list []net.PacketConn) {
	var left []packet
	for _, p := range s.packets {
		if name == "" || p.name == name {
			list = append(list, p.PacketConn)
		} else {
			left = append(left, p)
		}
	}
	s.packets = left
	return list
}

// Left names what nobody took.
func (s *Sockets) Left() (names []string) {
	for _, l := range s.streams {
		names = append(names, l.name)
	}
	for _, p := range s.packets {
		names = append(names, p.name)
	}
	return names
}

// Close closes what nobody took.
func (s *Sockets) Close() {
	for _, l := range s.Streams("") {
		_ = l.Close() // nobody has used it
	}
	for _, p := range s.Packets("") {
		_ = p.Close() // nobody has used it
	}
}
