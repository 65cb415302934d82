package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// The key files beside a store. Only the sealing key may be somewhere else (--key).
const (
	sealingFile = "sealing.key"
	signingFile = "signing.key"
)

// paths are the files of a store.
type paths struct{ dir, database, sealing, signing string }

func (a *app) paths() (paths, error) {
	if a.store == "" {
		return paths{}, usagef("this system names no data directory").hint("name one: --store DIR")
	}
	p := paths{a.store, filepath.Join(a.store, sqlstore.FileName), a.key, filepath.Join(a.store, signingFile)}
	if p.sealing == "" {
		p.sealing = filepath.Join(a.store, sealingFile)
	}
	return p, nil
}

func (a *app) storeOptions() sqlstore.Options {
	return sqlstore.Options{Now: a.now, Rand: a.rand, Actor: a.user}
}

// openStore opens the store. The caller closes it, which ends this process's audit chain.
func (a *app) openStore(ctx context.Context) (*sqlstore.Store, error) {
	p, err := a.paths()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(p.database); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, problemf(exitNotFound, "there is no store in %s", p.dir).hint("make one: tokendesk init, or name it: --store DIR")
	}
	keys, err := loadKeys(p)
	if err != nil {
		return nil, err
	}
	s, err := sqlstore.Open(ctx, p.dir, keys, a.storeOptions())
	if errors.Is(err, token.ErrWrongKey) {
		wrong := problemf(exitIntegrity, "the keys do not belong to the store in %s", p.dir)
		wrong.cause = err
		return nil, wrong.hint("sealing key: %s; name the right one with --key FILE", p.sealing).hint("signing key: %s", p.signing)
	}
	if errors.Is(err, fs.ErrPermission) {
		denied := problemf(exitError, "this user may not write the store in %s", p.dir)
		denied.cause = err
		return nil, denied.hint("check the owner and mode of the directory and the files in it; cause: %s", oneLine(err))
	}
	if errors.Is(err, token.ErrIntegrity) {
		damaged := problemf(exitIntegrity, "%s is damaged, or no store of tokendesk", p.database)
		damaged.cause = err
		return nil, damaged.hint("bring it back from your backup; cause: %s", oneLine(err))
	}
	return s, err
}

func loadKeys(p paths) (sqlstore.Keys, error) {
	sealing, err := seal.LoadFile(p.sealing)
	if err != nil {
		return sqlstore.Keys{}, keyProblem(err, p.sealing)
	}
	signing, err := seal.LoadSigningFile(p.signing)
	if err != nil {
		return sqlstore.Keys{}, keyProblem(err, p.signing)
	}
	return sqlstore.Keys{Sealing: sealing, Signing: signing}, nil
}

func keyProblem(err error, path string) error {
	var open *seal.PermissionError
	p := &problem{line: oneLine(err), code: exitIntegrity, cause: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.line = fmt.Sprintf("the key file %s is missing; without it the store cannot be read", path)
		p.code = exitNotFound
		return p.hint("name it: --key FILE, or bring it back from your backup")
	case errors.As(err, &open):
		p.line = fmt.Sprintf("the key file %s is open to others (mode %04o)", path, open.Mode)
		return p.hint("chmod 600 %s", path)
	case errors.Is(err, fs.ErrPermission):
		p.code = exitError
		return p.hint("check the owner and mode of that file and its directory")
	case errors.Is(err, seal.ErrFormat):
		p.line = path + " is not a key file of tokendesk"
	}
	return p
}

// examineStore opens the store as every command does, and looks at the rights of its files.
func (a *app) examineStore(ctx context.Context) []finding {
	s, err := a.openStore(ctx)
	var none *problem
	if errors.As(err, &none) && none.code == exitNotFound && none.cause == nil {
		return []finding{{"Store", healthWarn, none.line, none.hints, exitDone}}
	}
	if err != nil {
		return []finding{fail("Store", err)}
	}
	defer func() { _ = s.Close() }()
	p, err := a.paths()
	if err != nil {
		return []finding{fail("Store", err)}
	}
	rows := []finding{{"Store", healthOK, p.dir, nil, exitDone}, examineLedger(ctx, s)}
	for _, f := range []string{p.database, p.sealing, p.signing} {
		rows = append(rows, examineMode(f))
	}
	return rows
}
