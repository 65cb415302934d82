package main

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// The key files beside a store. Only the sealing key may be somewhere else (--key); the signing key of a store in PostgreSQL is beside it.
const (
	sealingFile = "sealing.key"
	signingFile = "signing.key"
)

// storeVariable names the store where --store does not. A URL in it may have a password, which nobody else of the machine sees there.
const storeVariable = "TOKENDESK_STORE"

// paths are where a store is and its files; database is "" for one in PostgreSQL.
type paths struct{ where, name, database, sealing, signing string }

// remote reports whether the store is in PostgreSQL.
func (p paths) remote() bool { return p.database == "" }

func (a *app) paths() (paths, error) {
	if a.store == "" {
		return paths{}, usagef("this system names no data directory").hint("name one: --store DIR")
	}
	if sqlstore.IsURL(a.store) {
		return a.remotePaths()
	}
	p := paths{a.store, a.store, filepath.Join(a.store, sqlstore.FileName), a.key, filepath.Join(a.store, signingFile)}
	if p.sealing == "" {
		p.sealing = filepath.Join(a.store, sealingFile)
	}
	return p, nil
}

// remotePaths are those of a store in PostgreSQL: its keys are in the data directory, unless --key names another one.
func (a *app) remotePaths() (paths, error) {
	p := paths{where: a.store, name: placeName(a.store), sealing: a.key}
	if p.sealing == "" {
		if a.dataDir == "" {
			return p, usagef("this system names no data directory for the keys of the store").hint("name the sealing key: --key FILE")
		}
		p.sealing = filepath.Join(a.dataDir, sealingFile)
	}
	p.signing = filepath.Join(filepath.Dir(p.sealing), signingFile)
	return p, nil
}

// placeName is a place without a password.
func placeName(where string) string {
	if !sqlstore.IsURL(where) {
		if abs, err := filepath.Abs(where); err == nil {
			return abs
		}
		return where
	}
	u, err := url.Parse(where)
	if err != nil {
		return "a PostgreSQL database"
	}
	u.RawQuery = "" // it may hold a password too
	return u.Redacted()
}

// chooseStore takes the store from the environment where no flag names it, and refuses a password in a flag.
func (a *app) chooseStore(flagged bool) error {
	if flagged {
		return refusePassword("--store", a.store)
	}
	if v := a.getenv(storeVariable); v != "" {
		a.store = v
	}
	return nil
}

// refusePassword refuses a URL with a password in a flag: everybody who has an account on this machine sees it, and the shell remembers
// it.
func refusePassword(flag, where string) error {
	if !sqlstore.IsURL(where) {
		return nil
	}
	u, err := url.Parse(where)
	if err != nil {
		return usagef("%s is not a URL of a PostgreSQL database", flag).hint("such as %s postgres://tokendesk@db.example.org/tokendesk", flag)
	}
	_, set := u.User.Password()
	if q := u.Query(); !set && !q.Has("password") && !q.Has("sslpassword") {
		return nil
	}
	return usagef("%s has a password, which others on this machine can see; it is not used", flag).
		hint("give it in ~/.pgpass or PGPASSFILE, in a PGSERVICE file, or in %s; or log in by a certificate: sslcert=FILE&sslkey=FILE", storeVariable).
		hint("and change it: your shell may have kept it")
}

// storeOptions are those of every store that is opened. The key is read again in the background then: ctx is that of the program.
func (a *app) storeOptions(ctx context.Context) sqlstore.Options {
	return sqlstore.Options{Now: a.now, Rand: a.rand, Actor: a.user, Moved: a.moved, Reload: func() (seal.Key, error) {
		p, err := a.paths()
		if err != nil {
			return seal.Key{}, err
		}
		return a.keyFile(ctx, p).Load()
	}}
}

// keyFile is the sealing key's file, of which this process has one, because it remembers what opened it. ctx is that of the program.
func (a *app) keyFile(ctx context.Context, p paths) *seal.File {
	a.keyOnce.Do(func() {
		a.sealing = seal.NewFile(p.sealing, func(of []seal.Recipient, open func(ecdh.KeyExchanger) error) error { return a.unlockKey(ctx, of, open) })
	})
	return a.sealing
}

// openStore opens the store. The caller closes it, which ends this process's audit chain.
func (a *app) openStore(ctx context.Context) (*sqlstore.Store, error) {
	p, err := a.paths()
	if err != nil {
		return nil, err
	}
	if !p.remote() {
		if _, err := os.Stat(p.database); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil, noStore(p)
		}
	}
	keys, err := a.loadKeys(ctx, p)
	if err != nil {
		return nil, err
	}
	s, err := sqlstore.Open(ctx, p.where, keys, a.storeOptions(ctx))
	if err != nil {
		return nil, openProblem(p, err)
	}
	return s, nil
}

// isNoStore reports whether openStore found none. One that is there and does not open, such as for want of a key, has a cause.
func isNoStore(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.code == exitNotFound && p.cause == nil
}

func noStore(p paths) *problem {
	return problemf(exitNotFound, "there is no store in %s", p.name).hint("make one: tokendesk init, or name it: --store DIR or postgres://…")
}

// openProblem says why a store does not open.
func openProblem(p paths, err error) error {
	is := func(code exitCode, line string, args ...any) *problem {
		x := problemf(code, line, args...)
		x.cause = err
		return x
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return noStore(p)
	case errors.Is(err, token.ErrWrongKey):
		return is(exitIntegrity, "the keys do not belong to the store in %s", p.name).
			hint("sealing key: %s; name the right one with --key FILE", p.sealing).hint("signing key: %s", p.signing)
	case p.remote() && remoteProblem(p, err, is) != nil:
		return remoteProblem(p, err, is)
	case errors.Is(err, fs.ErrPermission):
		return is(exitError, "this user may not write the store in %s", p.name).
			hint("check the owner and mode of the directory and the files in it; cause: %s", oneLine(err))
	case errors.Is(err, token.ErrIntegrity):
		return is(exitIntegrity, "%s is damaged, or no store of tokendesk", p.database).hint("bring it back from your backup; cause: %s", oneLine(err))
	}
	return err
}

// remoteProblem says why a database of PostgreSQL is no use; nil: for a cause that files have too.
func remoteProblem(p paths, err error, is func(exitCode, string, ...any) *problem) *problem {
	cause := oneLine(err)
	switch {
	case errors.Is(err, postgres.ErrURL):
		return is(exitUsage, "%s is not a URL of a PostgreSQL database", p.name).hint("such as postgres://tokendesk@db.example.org/tokendesk?sslmode=verify-full")
	case errors.Is(err, postgres.ErrUnreachable):
		return is(exitError, "the database of %s does not answer", p.name).hint("is it running, and is this the right host and port? cause: %s", cause)
	case errors.Is(err, postgres.ErrLogin):
		return is(exitError, "the database of %s refuses this user or its password", p.name).
			hint("passwords come from ~/.pgpass, PGPASSFILE, PGSERVICE or %s; cause: %s", storeVariable, cause)
	case errors.Is(err, postgres.ErrNoDatabase):
		return is(exitNotFound, "there is no database %s", p.name).hint("make it: createdb, then: tokendesk init; cause: %s", cause)
	case errors.Is(err, postgres.ErrReadOnly):
		return is(exitError, "the database of %s is read-only, such as a standby", p.name).
			hint("name the primary, or several hosts and target_session_attrs=read-write; cause: %s", cause)
	case errors.Is(err, fs.ErrPermission):
		return is(exitError, "this user may not use the tables of %s", p.name).hint("let it own the database or a schema, or grant what README.md lists; cause: %s", cause)
	case errors.Is(err, token.ErrIntegrity):
		return is(exitIntegrity, "%s is damaged, or no store of tokendesk", p.name).
			hint("a store has a database or a schema of its own: search_path=NAME in the URL; cause: %s", cause)
	}
	return nil
}

func (a *app) loadKeys(ctx context.Context, p paths) (sqlstore.Keys, error) {
	sealing, err := a.keyFile(ctx, p).Load()
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
	var own *problem
	p := &problem{line: oneLine(err), code: exitIntegrity, cause: err}
	switch {
	case errors.As(err, &own): // of the YubiKey that opens it
		return own
	case errors.Is(err, seal.ErrWrapped):
		p.line, p.code = path+" opens only with a YubiKey", exitDevice
		return p.hint("this build cannot use smart cards, or nobody can be asked for the PIN")
	case errors.Is(err, seal.ErrOpen):
		p.line = path + " was changed by somebody who could not open it, or is damaged"
		return p.hint("bring it back from your backup")
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
	case errors.Is(err, seal.ErrChanged):
		p.code = exitRefused
		return p.hint("call it again when the other one has ended")
	case errors.Is(err, seal.ErrFormat):
		p.line = path + " is not a key file of tokendesk"
	default: // the way to the YubiKey
		return err
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
	rows := append([]finding{{"Store", healthOK, p.name, nil, exitDone}, examineLedger(ctx, s)}, examineEscrow(ctx, s)...)
	rows = append(rows, examineFiles(p)...)
	return append(rows, a.examineService(ctx, s)...)
}
