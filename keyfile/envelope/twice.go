package envelope

import (
	"crypto/sha256"
	"io"
)

// chunkSize is how much of a message one checksum stands for, in bytes.
const chunkSize = 64 << 10

// Twice opens the message that src holds from its present position to its end, two times. pass makes a reader of the clear
// text out of one of the message; it is called once for each pass. The reader that Twice returns yields authenticated bytes
// only, provided that pass's reader ends with io.EOF only after it has authenticated the whole message. An error of src itself
// comes out as it is; ErrChanged is a src that differs in the second pass.
func Twice(src io.ReadSeeker, pass func(io.Reader) (io.Reader, error)) (io.Reader, error) {
	start, err := src.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	first := &pinned{src: src, learn: true}
	clearText, err := pass(first)
	if err == nil {
		err = discard(clearText)
	}
	if first.err != nil {
		return nil, first.err
	}
	if err != nil {
		return nil, err
	}
	if _, err := src.Seek(start, io.SeekStart); err != nil {
		return nil, err
	}
	second := &pinned{src: src, sums: first.sums}
	clearText, err = pass(second)
	if second.err != nil {
		return nil, second.err
	}
	return &reported{Reader: clearText, src: second}, err
}

// reported puts an error of the source in front of what a decrypter makes of it, and says again how the message ended, which some
// decrypters forget.
type reported struct {
	io.Reader
	src   *pinned
	ended error
}

// Read implements io.Reader.
func (r *reported) Read(p []byte) (int, error) {
	if r.ended != nil {
		return 0, r.ended
	}
	n, err := r.Reader.Read(p)
	if err != nil && r.src.err != nil {
		clear(p[:n])
		n, err = 0, r.src.err
	}
	r.ended = err
	return n, err
}

// discard reads to the end and leaves nothing of it in memory.
func discard(r io.Reader) error {
	buf := make([]byte, chunkSize)
	defer clear(buf)
	for {
		if _, err := r.Read(buf); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// pinned learns the checksum of each chunk in the first pass and wants to see the same in the second.
type pinned struct {
	src    io.Reader
	learn  bool
	sums   [][sha256.Size]byte
	n      int // chunks read
	buf    []byte
	unread []byte
	err    error // of the source, or ErrChanged; never io.EOF
}

// Read implements io.Reader.
func (p *pinned) Read(b []byte) (int, error) {
	if len(p.unread) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.unread)
	p.unread = p.unread[n:]
	return n, nil
}

func (p *pinned) next() error {
	if p.err != nil {
		return p.err
	}
	if p.buf == nil {
		p.buf = make([]byte, chunkSize)
	}
	n, err := io.ReadFull(p.src, p.buf)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		p.err = err
		return err
	}
	if n == 0 {
		if p.n != len(p.sums) {
			p.err = ErrChanged
			return p.err
		}
		return io.EOF
	}
	sum := sha256.Sum256(p.buf[:n])
	if p.learn {
		p.sums = append(p.sums, sum)
	} else if p.n >= len(p.sums) || p.sums[p.n] != sum {
		p.err = ErrChanged
		return p.err
	}
	p.n++
	p.unread = p.buf[:n]
	return nil
}
