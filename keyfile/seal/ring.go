package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// The file of a sealing key that was changed: a line for each version, the newest first, then one with the key of Mark. What Mark made
// cannot be made anew, because only hashes are kept of what it was made of; so its key stays, while versions come and go. In a file of one
// version that has no such line, it is derived from that version.
const (
	markingPrefix = "tokendesk-marking-key:"
	maxVersions   = 16
	maxRing       = (maxVersions + 1) * maxFile // bytes
)

// ring is what a file holds.
type ring struct {
	versions []version
	marking  secret.Bytes // empty: derived
}

func (r ring) destroy() {
	for _, v := range r.versions {
		v.raw.Destroy()
	}
	r.marking.Destroy()
}

func (r ring) key() (Key, error) { return newKey(r.versions, r.marking.Reveal()) }

// parseRing reads what marshal wrote, exactly: the only freedom is a missing last or CR LF line end.
func parseRing(text []byte) (r ring, err error) {
	defer func() {
		if err != nil {
			r.destroy()
			r = ring{}
		}
	}()
	if len(text) > maxRing {
		return r, ErrFormat
	}
	for line := range bytes.Lines(text) {
		if r.marking.Len() > 0 {
			return r, ErrFormat // it is the last line
		}
		if bytes.HasPrefix(line, []byte(markingPrefix)) {
			raw, number, err := parse(line, markingPrefix)
			if err != nil {
				return r, err
			}
			if r.marking = raw; number != firstVersion {
				return r, ErrFormat
			}
			continue
		}
		raw, number, err := parse(line, sealingPrefix)
		if err != nil {
			return r, err
		}
		n := len(r.versions)
		r.versions = append(r.versions, version{number, raw})
		if n == maxVersions || n > 0 && r.versions[n-1].number <= number {
			return r, ErrFormat
		}
	}
	if n := len(r.versions); n == 0 || n > 1 && r.marking.Len() == 0 {
		return r, ErrFormat
	}
	return r, nil
}

func (r ring) marshal() []byte {
	out := make([]byte, 0, maxRing)
	for _, v := range r.versions {
		line := marshal(sealingPrefix, v.number, v.raw)
		out = append(out, line...)
		clear(line)
	}
	if r.marking.Len() > 0 {
		line := marshal(markingPrefix, firstVersion, r.marking)
		out = append(out, line...)
		clear(line)
	}
	return out
}

// ErrChanged is a key file that another process changed meanwhile.
var ErrChanged = errors.New("somebody else changed the sealing key's file meanwhile")

// AddVersion draws another version of the sealing key and writes the file anew, at once and durably: the new version is the newest, and the
// others stay. newest is the one that was it so far; ErrChanged if it is not. Who reads the file meanwhile reads the old one or the new
// one.
func (f *File) AddVersion(newest uint32, random io.Reader) (Key, error) {
	return f.changeRing(random, func(r *ring) error {
		if r.versions[0].number != newest {
			return ErrChanged
		}
		if len(r.versions) == maxVersions {
			return errors.New("the sealing key has too many versions: finish the change before")
		}
		if r.marking.Len() == 0 {
			m, err := deriveMarks(r.versions[0].raw)
			if err != nil {
				return err
			}
			r.marking = secret.New(m)
		}
		raw, err := secret.Random(random, KeyLen)
		if err == nil {
			r.versions = append([]version{{r.versions[0].number + 1, raw}}, r.versions...)
		}
		return err
	})
}

// KeepVersion writes the file anew without the versions before number: no row may need them. A newer one, that somebody drew meanwhile,
// stays.
func (f *File) KeepVersion(number uint32, random io.Reader) (Key, error) {
	return f.changeRing(random, func(r *ring) error {
		for i, v := range r.versions {
			if v.number != number {
				continue
			}
			for _, old := range r.versions[i+1:] {
				old.raw.Destroy()
			}
			r.versions = r.versions[:i+1]
			return nil
		}
		return fmt.Errorf("it has no version %d", number)
	})
}

// replaceFile puts a new file of mode 0600, of the same owner, in the place of one, durably. The caller has the lock.
func replaceFile(path string, content []byte) (err error) {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := removeStale(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = sameOwner(f, st)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
