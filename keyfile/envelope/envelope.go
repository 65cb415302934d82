// Package envelope is what the encrypted messages around a key file have in common (packages openpgp and agefile).
//
// A message is authenticated at its end: what is read before may have been changed, or end too early. Secrets must not lie on a
// disk in clear until then, and files may be large. So Twice reads the message two times: the first pass decrypts everything
// and throws it away, the second, over the very same bytes, hands it on. Whatever the reader of Twice yields is therefore
// authenticated to the last byte before the first one is seen, with a memory of 32 bytes for every 64 KiB of message. It needs
// a file that it can read again; Spool makes one of a pipe, of the encrypted bytes.
package envelope

import (
	"errors"
	"io"
	"os"
)

// What a message can be that is not used.
var (
	ErrBroken   = errors.New("the encrypted message is damaged, cut or changed: nothing of it is used")
	ErrWrongKey = errors.New("the key or passphrase does not open the message")
	ErrChanged  = errors.New("the file was changed while it was being read")
	ErrTooLarge = errors.New("the message is larger than 4 GiB")
)

// MaxSize is the largest message that Spool takes, in bytes.
const MaxSize = 4 << 30

// Info is what an opened message says of itself.
type Info struct {
	Encrypted bool
	Signed    bool   // it holds a signature
	Signer    string // fingerprint and name of the key whose signature was found good; "": none was verified
}

// Chain is a writer that closes outer after inner. What is written goes to inner, which must write to outer.
func Chain(inner, outer io.WriteCloser) io.WriteCloser { return &chain{inner, outer} }

type chain struct {
	io.WriteCloser
	outer io.Closer
}

// Close closes outer only if inner could be closed: a message that lacks its end must not look whole.
func (c *chain) Close() error {
	if err := c.WriteCloser.Close(); err != nil {
		return err
	}
	return c.outer.Close()
}

// Spool copies the encrypted bytes of r into a temporary file of mode 0600 and returns it at its start. Close removes it.
// A message larger than MaxSize is ErrTooLarge. r must not be in clear.
func Spool(r io.Reader) (io.ReadSeekCloser, error) {
	f, err := os.CreateTemp("", "tokendesk-*.encrypted")
	if err != nil {
		return nil, err
	}
	s := &spooled{f}
	n, err := io.Copy(f, io.LimitReader(r, MaxSize+1))
	if err == nil && n > MaxSize {
		err = ErrTooLarge
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

type spooled struct{ *os.File }

// Close implements io.Closer.
func (s *spooled) Close() error { return errors.Join(s.File.Close(), os.Remove(s.Name())) }
