package backup

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"strings"
)

// Reader reads a backup. It is not safe for concurrent use.
type Reader struct {
	Header Header

	in     *bufio.Reader
	public ed25519.PublicKey
	sum    hash.Hash
	before []byte // sum of everything before the frame that was read last
	frame  []byte
	table  *Table
	of     Digest
	rows   int64
	failed error
}

// NewReader reads the header of a backup that must be signed by the owner of the public key. What the header says is not
// proven before the end. The errors are ErrFormat, ErrNewer and those of r.
func NewReader(r io.Reader, public ed25519.PublicKey) (*Reader, error) {
	b := &Reader{in: bufio.NewReaderSize(r, 64<<10), public: public, sum: sha256.New()}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(b.in, head); err != nil {
		return nil, cut(err)
	}
	if string(head) != magic {
		if before, _, ok := strings.Cut(magic, "1\n"); ok && strings.HasPrefix(string(head), before) {
			return nil, ErrNewer
		}
		return nil, ErrFormat
	}
	b.sum.Write(head)
	kind, body, err := b.next()
	if err != nil {
		return nil, err
	}
	if kind != kindHeader {
		return nil, ErrFormat
	}
	return b, object(body, &b.Header)
}

// cut is an input that ends too early.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrFormat
	}
	return err
}

// object reads JSON without unknown fields and anything behind it.
func object(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return ErrFormat // not %w: the decoder's text quotes the input
	}
	if _, err := dec.Token(); err != io.EOF {
		return ErrFormat
	}
	return nil
}

// next reads a frame; the body is valid until the next one.
func (b *Reader) next() (kind byte, body []byte, err error) {
	b.before = b.sum.Sum(b.before[:0])
	front, err := b.in.Peek(binary.MaxVarintLen32)
	if err != nil && err != io.EOF {
		return 0, nil, err
	}
	long, used := uvarint(front)
	if used == 0 || long == 0 || long > maxFrame {
		return 0, nil, ErrFormat
	}
	b.sum.Write(front[:used])
	_, _ = b.in.Discard(used) // it was peeked at
	b.frame = b.frame[:0]
	for uint64(len(b.frame)) < long { // what a hostile length promises is allocated as it comes
		n := min(long-uint64(len(b.frame)), 1<<20)
		at := len(b.frame)
		b.frame = append(b.frame, make([]byte, n)...)
		if _, err := io.ReadFull(b.in, b.frame[at:]); err != nil {
			return 0, nil, cut(err)
		}
	}
	b.sum.Write(b.frame)
	return b.frame[0], b.frame[1:], nil
}

// Table is the next table; io.EOF after the last one, when the whole backup was found right. Rows of the one before that were not read
// are an error.
func (b *Reader) Table() (Table, error) {
	t, err := b.begin()
	if err != nil {
		b.failed = err
	}
	return t, err
}

func (b *Reader) begin() (Table, error) {
	if b.failed != nil {
		return Table{}, b.failed
	}
	if b.table != nil {
		return Table{}, errors.New("rows were passed over")
	}
	kind, body, err := b.next()
	switch {
	case err != nil:
		return Table{}, err
	case kind == kindLast:
		return Table{}, b.last(body)
	case kind != kindTable:
		return Table{}, ErrFormat
	}
	var t Table
	if err := object(body, &t); err != nil {
		return Table{}, err
	}
	if t.Name == "" || len(t.Columns) == 0 || len(t.Columns) > maxColumns {
		return Table{}, ErrFormat
	}
	b.table, b.of = &t, Digest{}
	return t, nil
}

// last checks the end; io.EOF if it is right.
func (b *Reader) last(body []byte) error {
	t, err := parseTrailer(body)
	if err != nil {
		return err
	}
	if t.rows != b.rows || !bytes.Equal(t.sum[:], b.before) {
		return ErrFormat
	}
	if _, err := b.in.ReadByte(); err != io.EOF {
		if err == nil {
			err = ErrFormat
		}
		return err
	}
	if len(b.public) != ed25519.PublicKeySize || !ed25519.Verify(b.public, signed(t.sum[:]), t.signature[:]) {
		return ErrSignature
	}
	return io.EOF
}

// Row is the next row of the table; io.EOF after the last one, when their number and digest were found right.
func (b *Reader) Row() ([]Value, error) {
	row, err := b.row()
	if err != nil && (err != io.EOF || b.table != nil) {
		b.failed = err
	}
	return row, err
}

func (b *Reader) row() ([]Value, error) {
	if b.failed != nil {
		return nil, b.failed
	}
	if b.table == nil {
		return nil, errors.New("a row without its table")
	}
	kind, body, err := b.next()
	switch {
	case err != nil:
		return nil, err
	case kind == kindRow:
		row, err := parseRow(body, len(b.table.Columns))
		if err == nil {
			b.of.add(body)
			b.rows++
		}
		return row, err
	case kind != kindEnd:
		return nil, ErrFormat
	}
	rows, used := uvarint(body)
	sum := b.of.Sum()
	if used == 0 || int64(rows) != b.of.Rows || !bytes.Equal(body[used:], sum[:]) {
		return nil, ErrFormat
	}
	b.table = nil
	return nil, io.EOF
}

// Digest is that of the rows of the present or last table.
func (b *Reader) Digest() Digest { return b.of }
