package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash"
	"io"
)

// Writer writes a backup: Header, then for each table Begin, Row and End, then Close. After an error nothing more may be written. It is
// not safe for concurrent use.
type Writer struct {
	out   *bufio.Writer
	sum   hash.Hash
	frame []byte
	table *Table
	of    Digest // of the table
	rows  int64
}

// NewWriter begins a backup with its header.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	b := &Writer{out: bufio.NewWriterSize(w, 64<<10), sum: sha256.New()}
	if err := b.raw([]byte(magic)); err != nil {
		return nil, err
	}
	return b, b.json(kindHeader, h)
}

// raw writes what the sum covers.
func (b *Writer) raw(p []byte) error {
	b.sum.Write(p) // never fails
	_, err := b.out.Write(p)
	return err
}

func (b *Writer) put(kind byte, body []byte) error {
	if len(body)+1 > maxFrame {
		return errors.New("a row is too long for a backup")
	}
	head := append(binary.AppendUvarint(nil, uint64(len(body)+1)), kind)
	if err := b.raw(head); err != nil {
		return err
	}
	return b.raw(body)
}

func (b *Writer) json(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.put(kind, text)
}

// Begin begins a table.
func (b *Writer) Begin(t Table) error {
	b.table, b.of = &t, Digest{}
	return b.json(kindTable, t)
}

// Row writes one row of it; the values are in the order of its columns.
func (b *Writer) Row(row []Value) error {
	if b.table == nil || len(row) != len(b.table.Columns) {
		return errors.New("a row without its table")
	}
	var err error
	if b.frame, err = appendRow(b.frame[:0], row); err != nil {
		return err
	}
	b.of.add(b.frame)
	return b.put(kindRow, b.frame)
}

// End ends the table.
func (b *Writer) End() (Digest, error) {
	sum := b.of.Sum()
	b.rows += b.of.Rows
	b.table = nil
	return b.of, b.put(kindEnd, append(binary.AppendUvarint(nil, uint64(b.of.Rows)), sum[:]...))
}

// Close writes the end, signed. It does not close what is below.
func (b *Writer) Close(s Signer) error {
	t := trailer{rows: b.rows}
	copy(t.sum[:], b.sum.Sum(nil))
	if n := copy(t.signature[:], s.Sign(signed(t.sum[:]))); n != len(t.signature) {
		return errors.New("no signature")
	}
	if err := b.put(kindLast, t.body()); err != nil {
		return err
	}
	return b.out.Flush()
}
