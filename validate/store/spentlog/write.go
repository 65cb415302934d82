package spentlog

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

// maxPart is how long a file grows before it is set aside, in bytes: about a million one-time passwords.
const maxPart = 64 << 20

// Writer appends to the file of one server. It may be used by any number of goroutines.
type Writer struct {
	mu     sync.Mutex
	path   string
	header Header
	f      *os.File
	size   int64
	crc    uint32
	group  int64
	broken bool // a write failed: what is behind the last good line is unknown
	most   int64
	buf    []byte
	since  audit.Mark // of the last part before, or of this one
	chains []string   // that this server writes: each part says so, because those before it may be deleted
}

// ErrInUse is a log that another server writes.
var ErrInUse = errors.New("another server writes this file: each has one of its own")

// Open begins a new part of the log at path (0600). h has Store, Epoch, Desk and At. The part before, of a server that ended
// somehow, is set aside; ErrInUse while it runs. random is for the name of a new log.
func Open(path string, h Header, random io.Reader) (*Writer, error) {
	w := &Writer{path: path, header: h, most: maxPart, since: h.Desk}
	if err := w.begin(random); err != nil {
		return nil, fmt.Errorf("log of spent one-time passwords: %w", err)
	}
	return w, nil
}

// begin finds out how the last part ended, sets it aside, and begins the next.
func (w *Writer) begin(random io.Reader) error {
	old, err := unused(w.path)
	if err != nil {
		return err
	}
	defer func() { _ = old.Close() }() // only its lock is used, until the next part has one
	if err := dropUnborn(w.path); err != nil {
		return err
	}
	names, err := parts(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		var name [8]byte
		if _, err := io.ReadFull(random, name[:]); err != nil {
			return err
		}
		w.header.Log, w.header.Part = hex.EncodeToString(name[:]), 0
		return w.next()
	}
	if err != nil {
		return err
	}
	newest := names[len(names)-1]
	last, err := readPart(newest, 0, nil)
	if err != nil {
		return err
	}
	if last.Header.Store != w.header.Store {
		return fmt.Errorf("%s is of another store", w.path)
	}
	w.header.Log, w.header.Part, w.crc, w.since = last.Header.Log, last.Header.Part, last.crc, last.Header.Desk
	if newest == w.path {
		if err := w.setAside(last.Header.Part); err != nil {
			return err
		}
	}
	return w.next()
}

// unused takes the lock of the file at path; nil if there is none. Windows has no such lock, and gives no open file another name.
func unused(path string) (*os.File, error) {
	if runtime.GOOS == "windows" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = lockFile(f)
	}
	if err != nil && f != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, err
}

// dropUnborn removes a part whose header was not finished: nothing follows a header before that is durable.
func dropUnborn(path string) error {
	unborn, err := isUnborn(path)
	if err == nil && unborn {
		err = os.Remove(path)
	}
	return err
}

// aside is the name of a part that is finished.
func (w *Writer) aside(part int) string { return fmt.Sprintf("%s.%06d", w.path, part) }

// setAside gives the file the name of a part that is finished, never over another.
func (w *Writer) setAside(part int) error {
	name := w.aside(part)
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	return os.Rename(w.path, name)
}

// next begins the next part; the name is free.
func (w *Writer) next() error {
	f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := lockFile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	h := w.header
	h.Version, h.Part, h.Before = version, h.Part+1, w.crc
	text, err := json.Marshal(h)
	if err == nil {
		w.f, w.size, w.broken = f, 0, false
		w.buf, w.crc = line(w.buf[:0], 0, append([]byte("h "), text...))
		for _, chain := range w.chains {
			w.buf, w.crc = line(w.buf, w.crc, []byte("s "+chain))
		}
		err = w.put()
	}
	if err == nil {
		err = syncDir(filepath.Dir(w.path))
	}
	if err != nil {
		w.f = nil
		return errors.Join(err, f.Close(), os.Remove(w.path))
	}
	w.header.Part = h.Part
	return nil
}

// put writes the buffer and waits until it is durable.
func (w *Writer) put() error {
	_, err := w.f.Write(w.buf)
	if err == nil {
		err = w.f.Sync()
	}
	w.size += int64(len(w.buf))
	w.broken = w.broken || err != nil
	return err
}

// Since is where the desk chain stood when this server's part before began, or this one if it is the first: what it was told of other
// servers may have ended there.
func (w *Writer) Since() audit.Mark { return w.since }

// Append makes entries durable, in one group.
func (w *Writer) Append(entries []Entry) error {
	texts := make([][]byte, len(entries))
	for i, e := range entries {
		texts[i] = e.append(nil)
	}
	return w.add(texts)
}

// Serves says that this server writes a chain, and Sees that another one does.
func (w *Writer) Serves(chain string) error {
	if err := w.add([][]byte{[]byte("s " + chain)}); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chains = append(w.chains, chain)
	return nil
}

// Sees is as Serves.
func (w *Writer) Sees(chain string) error { return w.add([][]byte{[]byte("p " + chain)}) }

func (w *Writer) add(texts [][]byte) error {
	if len(texts) == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(); err != nil {
		return fmt.Errorf("log of spent one-time passwords: %w", err)
	}
	w.group++
	crc := w.crc
	w.buf, crc = line(w.buf[:0], crc, strconv.AppendInt([]byte("+ "), w.group, 10))
	for _, text := range texts {
		w.buf, crc = line(w.buf, crc, text)
	}
	if err := w.put(); err != nil {
		return fmt.Errorf("log of spent one-time passwords: %w", err)
	}
	w.crc = crc
	return nil
}

// ready begins the next part where the present one is full, or is not as we left it.
func (w *Writer) ready() error {
	if w.f != nil && !w.broken && w.size < w.most {
		return nil
	}
	if w.f != nil {
		if err := w.f.Close(); err != nil && !w.broken {
			return err
		}
		if w.broken { // the end is what is on the disk
			last, err := readPart(w.path, 0, nil)
			if err != nil {
				return err
			}
			w.crc = last.crc
		}
		if err := w.setAside(w.header.Part); err != nil {
			return err
		}
		w.f = nil
	}
	return w.next()
}

// Close ends the use of the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil {
		return nil
	}
	err := w.f.Close()
	w.f = nil
	return err
}

// syncDir makes the names in a directory durable. Windows has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
