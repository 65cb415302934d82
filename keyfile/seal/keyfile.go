package seal

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Unlock reaches the YubiKey of one of these recipients, whose PIN somebody entered, and calls open with the key in its slot, once. It
// passes on what open returns.
type Unlock func(of []Recipient, open func(ecdh.KeyExchanger) error) error

// File is the file of a sealing key, plain or wrapped. It may be used by several goroutines. What opened a wrapped file is remembered, so
// that its YubiKey is asked once, unless the recipients change.
type File struct {
	path   string
	unlock Unlock

	mu      sync.Mutex
	fileKey secret.Bytes // that opened it last; empty: none
	seen    Key          // that was loaded last
}

// NewFile is the file at path, which need not be there yet. unlock is asked if it is wrapped; nil: then it is ErrWrapped.
func NewFile(path string, unlock Unlock) *File { return &File{path: path, unlock: unlock} }

// Load reads the key with all its versions. The errors are fs.ErrNotExist, *PermissionError, ErrFormat, ErrWrapped, ErrOpen and those of
// unlock.
func (f *File) Load() (Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, _, err := f.read(f.path)
	if err != nil {
		return Key{}, fmt.Errorf("load sealing key: %w", err)
	}
	defer r.destroy()
	k, err := r.key()
	if err == nil {
		f.seen = k
	}
	return k, err
}

// Create draws a key and writes it to a new file, wrapped for to, or plain if there is none: nothing of it was ever on the disk in clear
// then. An existing file is left alone: fs.ErrExist.
func (f *File) Create(random io.Reader, to []Recipient) (Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.create(random, to)
	if err != nil {
		return Key{}, fmt.Errorf("create sealing key: %w", err)
	}
	return k, nil
}

func (f *File) create(random io.Reader, to []Recipient) (Key, error) {
	raw, err := secret.Random(random, KeyLen)
	if err != nil {
		return Key{}, err
	}
	r := ring{versions: []version{{firstVersion, raw}}}
	defer r.destroy()
	text := r.marshal()
	defer clear(text)
	if len(to) > 0 {
		fileKey, err := secret.Random(random, KeyLen)
		if err != nil {
			return Key{}, err
		}
		defer fileKey.Destroy()
		if text, err = marshalWrapped(random, to, fileKey, text); err != nil {
			return Key{}, err
		}
	}
	if err := createNew(f.path, text); err != nil {
		return Key{}, err
	}
	return r.key()
}

// Recipients are those of a wrapped file, none of a plain one. Nothing is opened, so nothing of it is proven.
func (f *File) Recipients() ([]Recipient, error) {
	text, err := readKeyFile(f.path, maxWrapped)
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	defer clear(text)
	if !isWrapped(text) {
		return nil, nil
	}
	e, err := parseWrapped(text)
	return e.to, err
}

// Text is what the file would hold if it were plain: a copy that opens without a YubiKey. The caller destroys it.
func (f *File) Text() (secret.Bytes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, _, err := f.read(f.path)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("read sealing key: %w", err)
	}
	defer r.destroy()
	return secret.New(r.marshal()), nil
}

// SetRecipients writes the file anew for whom change says, at once and durably: plain, if there is nobody. A wrapped file gets a new file
// key. Who reads it meanwhile reads the old one or the new one.
func (f *File) SetRecipients(random io.Reader, change func(now []Recipient) ([]Recipient, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.rewrite(func(r *ring, e envelope) ([]byte, error) {
		to, err := change(e.to)
		if err != nil {
			return nil, err
		}
		text := r.marshal()
		if len(to) == 0 {
			return text, nil
		}
		defer clear(text)
		fresh, err := secret.Random(random, KeyLen)
		if err != nil {
			return nil, err
		}
		f.remember(fresh)
		return marshalWrapped(random, to, fresh, text)
	})
	if err != nil {
		return fmt.Errorf("change who opens the sealing key: %w", err)
	}
	return nil
}

// changeRing writes the file anew with another ring, for the same recipients and under the same file key.
func (f *File) changeRing(random io.Reader, change func(*ring) error) (Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.rewrite(func(r *ring, e envelope) ([]byte, error) {
		if err := change(r); err != nil {
			return nil, err
		}
		text := r.marshal()
		if e.to == nil {
			return text, nil
		}
		defer clear(text)
		return sealRing(random, e.head, f.fileKey, text)
	})
	if err != nil {
		return Key{}, fmt.Errorf("change sealing key: %w", err)
	}
	f.seen = k
	return k, nil
}

// rewrite puts in the file's place what content makes of it. Only one process does so at a time. A file that is not the one that was loaded
// before is left alone: ErrChanged.
func (f *File) rewrite(content func(*ring, envelope) ([]byte, error)) (Key, error) {
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return Key{}, err
	}
	lock, err := lockPath(path)
	if err != nil {
		return Key{}, err
	}
	defer func() { _ = lock.Close() }() // only its lock is used
	r, e, err := f.read(path)
	if err != nil {
		return Key{}, err
	}
	defer func() { r.destroy() }()
	if now, err := r.key(); err != nil || f.seen.marks != nil && !now.Marks(f.seen) {
		return Key{}, errors.Join(err, ErrChanged)
	}
	text, err := content(&r, e)
	if err != nil {
		return Key{}, err
	}
	defer clear(text)
	if err := replaceFile(path, text); err != nil {
		return Key{}, err
	}
	return r.key()
}

// read reads the file as a whole. The caller destroys the ring.
func (f *File) read(path string) (ring, envelope, error) {
	text, err := readKeyFile(path, maxWrapped)
	if err != nil {
		return ring{}, envelope{}, err
	}
	defer func() { clear(text) }()
	if !isWrapped(text) {
		r, err := parseRing(text)
		return r, envelope{}, err
	}
	e, err := parseWrapped(append([]byte(nil), text...)) // which is not secret, and is kept
	if err != nil {
		return ring{}, envelope{}, err
	}
	if f.fileKey.Len() > 0 {
		if r, err := e.openRing(f.fileKey); !errors.Is(err, ErrOpen) {
			return r, e, err
		}
	}
	if f.unlock == nil {
		return ring{}, envelope{}, ErrWrapped
	}
	var fresh secret.Bytes
	err = f.unlock(e.to, func(key ecdh.KeyExchanger) (err error) {
		fresh, err = e.fileKey(key)
		return err
	})
	if err != nil {
		return ring{}, envelope{}, err
	}
	r, err := e.openRing(fresh)
	if err != nil {
		fresh.Destroy()
		return ring{}, envelope{}, err
	}
	f.remember(fresh)
	return r, e, nil
}

func (f *File) remember(fileKey secret.Bytes) {
	f.fileKey.Destroy()
	f.fileKey = fileKey
}

// Close forgets what opened the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remember(secret.Bytes{})
	return nil
}

// Leftovers are what killed processes left of files that they were about to put in the place of this key file: they may hold the key in clear.
// The next change of the file takes them away. Just now somebody may be at it.
func Leftovers(path string) ([]string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)+"."
	entries, err := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		name := e.Name()
		if len(name) > len(prefix) && name[:len(prefix)] == prefix && decimal(name[len(prefix):]) && e.Type().IsRegular() {
			out = append(out, filepath.Join(dir, name))
		}
	}
	return out, err
}

// removeStale takes the leftovers away. The caller has the lock.
func removeStale(path string) error {
	left, err := Leftovers(path)
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// decimal reports whether a text is digits only, as os.CreateTemp makes them.
func decimal(text string) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
