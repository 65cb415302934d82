package keyfile

import (
	"fmt"
	"io"
)

// RowEncoder is the Encoder of a format that is a head, one piece of text a record and a foot. Each record is one Write; the
// buffer is cleared after it.
type RowEncoder struct {
	Codec  Codec
	W      io.Writer
	Head   string
	Foot   string
	Append func(dst []byte, rec Record) []byte // the text of a record that the codec does not refuse

	begun bool
	buf   []byte
}

var _ Encoder = (*RowEncoder)(nil)

// rowSize is room for one record of any format, so that the buffer is not copied while it grows.
const rowSize = 4096

// Encode implements Encoder.
func (e *RowEncoder) Encode(rec Record) error {
	if err := Refused(e.Codec.Name(), rec, e.Codec.Loss(rec)); err != nil {
		return err
	}
	if err := e.begin(); err != nil {
		return err
	}
	if e.buf == nil {
		e.buf = make([]byte, 0, rowSize)
	}
	e.buf = e.Append(e.buf[:0], rec)
	defer func() { clear(e.buf[:cap(e.buf)]) }()
	return e.write(e.buf)
}

// Close implements Encoder.
func (e *RowEncoder) Close() error {
	if err := e.begin(); err != nil {
		return err
	}
	return e.write([]byte(e.Foot))
}

// Begun reports whether anything was written.
func (e *RowEncoder) Begun() bool { return e.begun }

func (e *RowEncoder) begin() error {
	if e.begun {
		return nil
	}
	e.begun = true
	return e.write([]byte(e.Head))
}

func (e *RowEncoder) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := e.W.Write(b); err != nil {
		return fmt.Errorf("%s: write: %w", e.Codec.Name(), err)
	}
	return nil
}
