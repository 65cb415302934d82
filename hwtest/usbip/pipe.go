package usbip

import "slices"

// pipe is an IN endpoint: transfers that wait for data, and messages that wait for transfers.
type pipe struct {
	waiting  []urb
	messages [][]byte
}

// forget takes a transfer out, if it still waits.
func (p *pipe) forget(seq uint32) bool {
	i := slices.IndexFunc(p.waiting, func(u urb) bool { return u.seq == seq })
	if i < 0 {
		return false
	}
	p.waiting = slices.Delete(p.waiting, i, i+1)
	return true
}

// next is the oldest transfer with the data that answers it, which are of one message: the end of a message ends a
// transfer, as a short or a zero-length packet does. A message longer than the transfer goes on in the next.
func (p *pipe) next() (u urb, data []byte, ok bool) {
	if len(p.waiting) == 0 || len(p.messages) == 0 {
		return urb{}, nil, false
	}
	u, p.waiting = p.waiting[0], p.waiting[1:]
	n := min(int(u.length), len(p.messages[0]))
	data, p.messages[0] = p.messages[0][:n], p.messages[0][n:]
	if len(p.messages[0]) == 0 {
		p.messages = p.messages[1:]
	}
	return u, data, true
}
