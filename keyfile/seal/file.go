package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// A key file is one line of text: the prefix, the key's version in decimal, a colon, 64 lower-case hexadecimal digits, LF. A sealing key
// that was changed has a line for each version (ring.go).
const (
	sealingPrefix = "tokendesk-sealing-key:"
	signingPrefix = "tokendesk-signing-key:"
	firstVersion  = 1
	maxFile       = 256 // bytes; a longer file is none of ours
)

// ErrFormat is a file that is not the key file it should be. Its text is never shown.
var ErrFormat = errors.New("not a key file of this kind")

// PermissionError is a key file that others may read or change; it is not loaded.
type PermissionError struct {
	Path string
	Mode fs.FileMode
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("key file %s has mode %04o: only its owner may have access (chmod 600)", e.Path, e.Mode)
}

// CreateFile draws a sealing key and writes it to a new file of mode 0600, durable on return. An existing file is left
// alone: fs.ErrExist.
func CreateFile(path string, random io.Reader) (Key, error) {
	return NewFile(path, nil).Create(random, nil)
}

// LoadFile reads a sealing key with all its versions. The errors are fs.ErrNotExist, *PermissionError, ErrFormat, and ErrWrapped.
func LoadFile(path string) (Key, error) { return NewFile(path, nil).Load() }

// SigningKey signs audit heads with Ed25519. It may be copied and used by any number of goroutines; it does not print.
type SigningKey struct{ private func() ed25519.PrivateKey }

func newSigningKey(seed []byte) SigningKey {
	p := ed25519.NewKeyFromSeed(seed)
	return SigningKey{func() ed25519.PrivateKey { return p }}
}

// Sign returns the 64 bytes of the signature; nil for the zero key.
func (k SigningKey) Sign(message []byte) []byte {
	if k.private == nil {
		return nil
	}
	return ed25519.Sign(k.private(), message)
}

// Public is the key by which signatures are verified; nil for the zero key.
func (k SigningKey) Public() ed25519.PublicKey {
	if k.private == nil {
		return nil
	}
	return k.private().Public().(ed25519.PublicKey)
}

// CreateSigningFile is CreateFile for a signing key; the digits are the 32 bytes of the seed.
func CreateSigningFile(path string, random io.Reader) (SigningKey, error) {
	raw, err := createRaw(path, signingPrefix, random)
	if err != nil {
		return SigningKey{}, fmt.Errorf("create signing key: %w", err)
	}
	defer raw.Destroy()
	return newSigningKey(raw.Reveal()), nil
}

// LoadSigningFile is LoadFile for a signing key.
func LoadSigningFile(path string) (SigningKey, error) {
	raw, _, err := loadRaw(path, signingPrefix)
	if err != nil {
		return SigningKey{}, fmt.Errorf("load signing key: %w", err)
	}
	defer raw.Destroy()
	return newSigningKey(raw.Reveal()), nil
}

func createRaw(path, prefix string, random io.Reader) (secret.Bytes, error) {
	raw, err := secret.Random(random, KeyLen)
	if err != nil {
		return secret.Bytes{}, err
	}
	line := marshal(prefix, firstVersion, raw)
	defer clear(line)
	if err := createNew(path, line); err != nil {
		raw.Destroy()
		return secret.Bytes{}, err
	}
	return raw, nil
}

func marshal(prefix string, version uint32, raw secret.Bytes) []byte {
	line := make([]byte, 0, maxFile)
	line = append(line, prefix...)
	line = strconv.AppendUint(line, uint64(version), 10)
	line = append(line, ':')
	line = hex.AppendEncode(line, raw.Reveal())
	return append(line, '\n')
}

// createNew writes the file, then the file and its directory are synced. What it could not finish it removes.
func createNew(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name durable. Windows has no such call.
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

func loadRaw(path, prefix string) (secret.Bytes, uint32, error) {
	text, err := readKeyFile(path, maxFile)
	if err != nil {
		return secret.Bytes{}, 0, err
	}
	defer clear(text)
	return parse(text, prefix)
}

// readKeyFile reads one byte more than most at most. The caller clears it.
func readKeyFile(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !OwnerOnly(st) {
		return nil, &PermissionError{path, st.Mode().Perm()}
	}
	buf := make([]byte, most+1)
	n, err := io.ReadFull(f, buf)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		clear(buf)
		return nil, err
	}
	return buf[:n], nil
}

// parse reads what marshal wrote, exactly: the only freedom is a missing or CR LF line end.
func parse(text []byte, prefix string) (secret.Bytes, uint32, error) {
	rest, ok := bytes.CutPrefix(text, []byte(prefix))
	if !ok || len(text) > maxFile {
		return secret.Bytes{}, 0, ErrFormat
	}
	rest = bytes.TrimSuffix(bytes.TrimSuffix(rest, []byte("\n")), []byte("\r"))
	number, digits, ok := bytes.Cut(rest, []byte(":"))
	if !ok || len(digits) != hex.EncodedLen(KeyLen) {
		return secret.Bytes{}, 0, ErrFormat
	}
	version, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil || version < firstVersion || number[0] == '0' || number[0] == '+' {
		return secret.Bytes{}, 0, ErrFormat
	}
	raw := make([]byte, KeyLen)
	if _, err := hex.Decode(raw, digits); err != nil || !bytes.Equal(bytes.ToLower(digits), digits) {
		clear(raw)
		return secret.Bytes{}, 0, ErrFormat
	}
	return secret.New(raw), uint32(version), nil
}
