package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const partSuffix = ".part"

// writeFile makes or replaces a file of mode 0600 as a whole, durable on return.
func writeFile(path string, content []byte) error {
	part := path + partSuffix
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return syncDir(filepath.Dir(path))
}

// wipe overwrites a file and removes it, durable on return. One that is not there is no error.
func wipe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(make([]byte, st.Size()), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes names durable. Windows has no such call.
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

// The head says how far the journal was durable when a method returned: what is behind it may be torn, what is before must be there.
// It is written in turns to two places of a sector each: number (8 bytes, big-endian), chain's value (32), SHA-256 of both (32).
const (
	headSector = 512
	headSize   = 8 + 2*sha256.Size
)

type head struct {
	seq  int64
	hash [32]byte
}

func (h head) bytes() []byte {
	out := binary.BigEndian.AppendUint64(make([]byte, 0, headSize), uint64(h.seq))
	out = append(out, h.hash[:]...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// place is where h is written.
func (h head) place() int64 { return h.seq % 2 * headSector }

// readHead is the newer of the two; the zero head if none is whole.
func readHead(text []byte) head {
	var best head
	for _, at := range []int{0, headSector} {
		if len(text) < at+headSize {
			continue
		}
		row := text[at : at+headSize]
		sum := sha256.Sum256(row[:8+sha256.Size])
		h := head{int64(binary.BigEndian.Uint64(row)), [32]byte(row[8 : 8+sha256.Size])}
		if bytes.Equal(sum[:], row[8+sha256.Size:]) && h.seq >= best.seq {
			best = h
		}
	}
	return best
}
