package backup

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

type signer struct{ ed25519.PrivateKey }

func (s signer) Sign(m []byte) []byte { return ed25519.Sign(s.PrivateKey, m) }

func newSigner(n byte) signer {
	return signer{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))}
}

func (s signer) public() ed25519.PublicKey { return s.PrivateKey.Public().(ed25519.PublicKey) }

type table struct {
	Table
	rows [][]Value
}

func sample() (Header, []table) {
	h := Header{
		Store: "00112233", Schema: 13, At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Database: "sqlite", Keys: []uint32{1, 2},
		Desk: audit.Mark{Seq: 9}, Last: map[string]int64{"person": 4}, Rows: 4,
	}
	return h, []table{
		{Table{"person", []string{"id", "name", "photo"}}, [][]Value{
			{int64(1), "Ada", []byte{0, 1, 2}}, {int64(math.MinInt64), "", []byte{}}, {int64(math.MaxInt64), nil, nil}}},
		{Table{"empty", []string{"id"}}, nil},
		{Table{"audit", []string{"detail"}}, [][]Value{{strings.Repeat("long ", 100)}}},
	}
}

func write(t testing.TB, h Header, tables []table, s Signer) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, tab := range tables {
		if err := w.Begin(tab.Table); err != nil {
			t.Fatal(err)
		}
		for _, row := range tab.rows {
			if err := w.Row(row); err != nil {
				t.Fatal(err)
			}
		}
		if d, err := w.End(); err != nil || d.Rows != int64(len(tab.rows)) {
			t.Fatal(d, err)
		}
	}
	if err := w.Close(s); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read reads it all; the error is nil only if everything was found right.
func read(text io.Reader, public ed25519.PublicKey) (h Header, tables []table, err error) {
	r, err := NewReader(text, public)
	if err != nil {
		return h, nil, err
	}
	for {
		t, err := r.Table()
		if err == io.EOF {
			return r.Header, tables, nil
		}
		if err != nil {
			return r.Header, tables, err
		}
		one := table{Table: t}
		for {
			row, err := r.Row()
			if err == io.EOF {
				break
			}
			if err != nil {
				return r.Header, tables, err
			}
			one.rows = append(one.rows, row)
		}
		tables = append(tables, one)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := newSigner(1)
	h, tables := sample()
	text := write(t, h, tables, s)
	gotHeader, got, err := read(iotest.OneByteReader(bytes.NewReader(text)), s.public())
	if err != nil || !reflect.DeepEqual(got, tables) || !reflect.DeepEqual(gotHeader, h) {
		t.Fatalf("%+v, %+v, %v", gotHeader, got, err)
	}
	if _, _, err := read(bytes.NewReader(text), newSigner(2).public()); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, _, err := read(bytes.NewReader(text), nil); !errors.Is(err, ErrSignature) {
		t.Errorf("no key: %v", err)
	}
	newer := bytes.Replace(text, []byte("backup 1\n"), []byte("backup 2\n"), 1)
	if _, _, err := read(bytes.NewReader(newer), s.public()); !errors.Is(err, ErrNewer) {
		t.Errorf("newer: %v", err)
	}
	if _, _, err := read(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(text))), s.public()); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a disk that fails: %v", err)
	}
}

// TestDamage: cut at any byte, with any bit changed, or with a byte behind it, it is never found right.
func TestDamage(t *testing.T) {
	t.Parallel()
	s := newSigner(1)
	h, tables := sample()
	text := write(t, h, tables, s)
	wrong := func(name string, text []byte, n int) {
		_, _, err := read(bytes.NewReader(text), s.public())
		if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrNewer) {
			t.Errorf("%s %d: %v", name, n, err)
		}
	}
	for n := range text {
		wrong("cut at", text[:n], n)
		for bit := range 8 {
			bad := bytes.Clone(text)
			bad[n] ^= 1 << bit
			wrong("changed", bad, n)
		}
	}
	wrong("longer", append(bytes.Clone(text), 0), len(text))
	wrong("twice", append(bytes.Clone(text), text...), len(text))
}

func TestDigestKnowsNoOrder(t *testing.T) {
	t.Parallel()
	var a, b, c Digest
	rows := [][]Value{{int64(1), "x"}, {int64(2), "y"}, {int64(2), "y"}}
	for i := range rows {
		for d, row := range map[*Digest][]Value{&a: rows[i], &b: rows[2-i], &c: rows[min(i, 1)]} {
			if err := d.Add(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a != b || a.Sum() != b.Sum() {
		t.Error("the order counts")
	}
	if err := c.Add([]Value{int64(1), "x"}); err != nil || a.Sum() == c.Sum() {
		t.Error("one row more is the same")
	}
	if err := c.Add([]Value{3.5}); err == nil {
		t.Error("a fraction is taken")
	}
}

// FuzzRead: what is found right is written again as it was; nothing panics, and no more memory is taken than the input is long.
func FuzzRead(f *testing.F) {
	s := newSigner(1)
	h, tables := sample()
	text := write(f, h, tables, s)
	for _, seed := range [][]byte{text, text[:len(text)/2], []byte(magic), {}, append([]byte(magic), 0xff, 0xff, 0xff, 0x1f)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h, tables, err := read(bytes.NewReader(text), s.public())
		if err == nil && !bytes.Equal(write(t, h, tables, s), text) {
			t.Fatal("it is written in another way")
		}
	})
}

// FuzzRow: values that are read are written again as they were.
func FuzzRow(f *testing.F) {
	row, err := appendRow(nil, []Value{int64(-7), "text", []byte("bytes"), nil})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row, 4)
	f.Add(row[:5], 2)
	f.Add([]byte{1, 0x80, 0}, 1)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		if n < 0 || n > maxColumns {
			return
		}
		values, err := parseRow(body, n)
		if err != nil {
			if values != nil {
				t.Fatal("values with an error")
			}
			return
		}
		if again, err := appendRow(nil, values); err != nil || !bytes.Equal(again, body) {
			t.Fatalf("%x became %x, %v", body, again, err)
		}
	})
}
