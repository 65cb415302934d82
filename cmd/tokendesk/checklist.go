package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// backupAge is from when on a backup is called old.
const backupAge = 7 * 24 * time.Hour

// checklist is what serve says at its start, a line for each check; doctor repeats it. Source: PRODUCT.md §3.e.
func (s *serving) checklist(ctx context.Context) error {
	p, err := s.paths()
	if err != nil {
		return err
	}
	rows := append([]finding{s.examineTLS(), s.examineClock()}, examineFiles(p)...)
	for _, r := range append(rows, s.examineService(ctx, s.st)...) {
		level := slog.LevelInfo
		if r.State != healthOK {
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{slog.String("check", r.Check), slog.String("state", string(r.State)), slog.String("detail", r.Detail)}
		if len(r.Next) > 0 {
			attrs = append(attrs, slog.String("next", strings.Join(r.Next, "; ")))
		}
		s.log.LogAttrs(ctx, level, "check", attrs...)
	}
	return nil
}

// examineTLS says whether requests travel by TLS, and until when.
func (s *serving) examineTLS() finding {
	row := finding{Check: "TLS", State: healthOK}
	if s.certificates == nil {
		row.Detail = "none: for this machine alone, or behind a proxy that has it"
		return row
	}
	ends := s.certificates.Ends()
	row.Detail = "certificate valid until " + ends.UTC().Format(time.DateOnly)
	switch left := ends.Sub(s.now()); {
	case left <= 0:
		row.State, row.Detail = healthFail, "the certificate ended "+ends.UTC().Format(time.DateOnly)
	case left < 14*24*time.Hour:
		row.State = healthWarn
	}
	return row
}

// examineFiles looks at the rights of the store's files, and for what should not be beside them.
func examineFiles(p paths) (rows []finding) {
	for _, f := range []string{p.database, p.sealing, p.signing} {
		if f != "" {
			rows = append(rows, examineMode(f))
		}
	}
	left, _ := seal.Leftovers(p.sealing) // what cannot be read is said above
	for _, f := range left {
		rows = append(rows, finding{
			"File " + filepath.Base(f), healthWarn, "left by a process that was killed, unless one changes the sealing key just now; it may be that key in clear",
			[]string{"rm " + printable(f)}, exitDone,
		})
	}
	return rows
}

// examineService is what a server needs besides its files: clients, a backup, a database that keeps what it was given.
func (a *app) examineService(ctx context.Context, st *sqlstore.Store) []finding {
	return []finding{a.examineClients(ctx, st), a.examineBackup(ctx, st), examineDatabase(ctx, st)}
}

func (a *app) examineClients(ctx context.Context, st *sqlstore.Store) finding {
	clients, err := a.desk(st).Clients(ctx)
	if err != nil {
		return fail("Clients", err)
	}
	active := 0
	for _, c := range clients {
		if c.Active {
			active++
		}
	}
	row := finding{Check: "Clients", State: healthOK, Detail: fmt.Sprintf("%d active", active)}
	if active == 0 {
		row.State, row.Detail, row.Next = healthWarn, "none: nobody can ask for validations", []string{"tokendesk client add NAME"}
	}
	return row
}

func (a *app) examineBackup(ctx context.Context, st *sqlstore.Store) finding {
	row := finding{Check: "Backup", State: healthOK}
	at, err := st.LastBackup(ctx)
	switch age := a.now().Sub(at); {
	case err != nil && !errors.Is(err, token.ErrNotFound):
		return fail(row.Check, err)
	case at.IsZero():
		row.State, row.Detail, row.Next = healthWarn, "none was made by this program", []string{"tokendesk store backup --help"}
	case age > backupAge:
		row.State, row.Detail = healthWarn, fmt.Sprintf("%s, %d days ago", at.UTC().Format(time.DateOnly), int(age/(24*time.Hour)))
	default:
		row.Detail = at.UTC().Format(time.RFC3339)
	}
	return row
}

func examineDatabase(ctx context.Context, st *sqlstore.Store) finding {
	careless, err := st.Careless(ctx)
	switch {
	case err != nil:
		return fail("Database", err)
	case len(careless) > 0:
		return finding{"Database", healthWarn, "it may lose or damage what was written when its machine crashes: " + strings.Join(careless, ", "),
			[]string{"an accepted one-time password could be accepted again: set these to on in postgresql.conf"}, exitDone}
	}
	return finding{"Database", healthOK, "what was written survives a crash", nil, exitDone}
}
