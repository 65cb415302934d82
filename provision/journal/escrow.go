package journal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// escrow keeps the secrets of open writes: a file for each in DIR/open, sealed under the station's key and bound to its write.
type escrow struct {
	dir    string
	key    seal.Key
	series [seriesLen]byte
	random io.Reader
}

const openDir = "open"

func (e escrow) path(id int64) string {
	return filepath.Join(e.dir, openDir, strconv.FormatInt(id, 10))
}

func (e escrow) place(id int64) seal.Place {
	return seal.Place{Store: e.series, Owner: "journal", ID: id, What: seal.AESKey}
}

// put is durable on return. What an interruption left of the same write is replaced: nothing was sent to a key then.
func (e escrow) put(id int64, s secret.Bytes) error {
	row, err := e.key.Seal(e.random, e.place(id), s)
	if err != nil {
		return err
	}
	return writeFile(e.path(id), row)
}

// get is fs.ErrNotExist if there is none. The caller destroys the secrets.
func (e escrow) get(id int64) (token.Secrets, error) {
	row, err := os.ReadFile(e.path(id))
	if err != nil {
		return token.Secrets{}, err
	}
	b, err := e.key.Open(e.place(id), e.key.Version(), row)
	if err != nil {
		return token.Secrets{}, fmt.Errorf("%w: the secrets of write %d", ErrDamaged, id)
	}
	defer b.Destroy()
	return unbundle(b)
}

// drop overwrites and removes. What is not there is no error.
func (e escrow) drop(id int64) error { return wipe(e.path(id)) }

// keep drops what is not wanted: of writes that were settled, or never sealed, when an interruption came; and what is half written.
func (e escrow) keep(wanted func(id int64) bool) error {
	list, err := os.ReadDir(filepath.Join(e.dir, openDir))
	if err != nil {
		return err
	}
	for _, f := range list {
		if id, err := strconv.ParseInt(f.Name(), 10, 64); err == nil && wanted(id) {
			continue
		}
		if err := wipe(filepath.Join(e.dir, openDir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}
