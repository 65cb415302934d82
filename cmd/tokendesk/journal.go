package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// transferFile is the key that opens journals, beside the signing key.
const transferFile = "transfer.key"

func newJournalCmd(a *app) *cobra.Command {
	cmd := group("journal", "Write keys at stations without a network, and take in what they wrote",
		newJournalInitCmd(a), newJournalStationCmd(a), newJournalStationsCmd(a), newJournalInstallCmd(a), newJournalImportCmd(a), newJournalListCmd(a), newJournalEndCmd(a))
	cmd.Long = `Write keys at stations without a network, and take in what they wrote.

  at the station   tokendesk journal init DESK1 > desk1.public
  at the server    tokendesk journal station DESK1 --public-key desk1.public --limit 40 --until 2026-06-01 --out desk1.snapshot
  at the station   tokendesk journal install desk1.snapshot, then: tokendesk provision desk --offline --slot 2
  at the server    tokendesk journal import desk1.journal

The secrets of the keys are sealed to the server before the first byte goes to a key: the station cannot read them back. While a write is
not finished, its secrets are also in the station's directory, under the key that is there too, so that the same secret can be
written again; then they are overwritten and removed.`
	return cmd
}

// stationFlag is the directory of a station.
func stationFlag(cmd *cobra.Command, a *app, dir *string) {
	cmd.Flags().StringVar(dir, "dir", filepath.Join(a.dataDir, stationDir), "directory of the station")
}

func (a *app) stationOptions() journal.Options {
	return journal.Options{Now: a.now, Rand: a.rand, Operator: a.user}
}

func newJournalInitCmd(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "init NAME", Short: "Make this computer a station, and print its public key", Args: args(1, 1, "NAME"),
		Long: `Make this computer a station: a journal, a key that signs it, and one that keeps unfinished writes, each of mode 0600. The line that is
printed is no secret: the server knows the station by it. A name is used once, as it stands in the numbers of receipts.`,
		Example: "  tokendesk journal init DESK1 > desk1.public",
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := journal.CheckName(given[0]); err != nil {
				return usagef("%s", err)
			}
			line, err := journal.Init(dir, given[0], a.stationOptions())
			if errors.Is(err, fs.ErrExist) {
				return problemf(exitRefused, "%s is a station already; nothing is overwritten", printable(dir)).hint("name another directory: --dir DIR")
			}
			if err != nil {
				return err
			}
			a.say("station made in %s; give this line to the server", printable(dir))
			_, err = fmt.Fprintln(a.stdout, line)
			return err
		},
	}
	stationFlag(cmd, a, &dir)
	return cmd
}

func newJournalInstallCmd(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "install FILE", Short: "Take the server's snapshot into this station", Args: args(1, 1, "FILE"),
		Long: `Take a snapshot into this station: who may be given keys, how many, and until when. It must be signed by the server of the first one, for
this station.`,
		Example: "  tokendesk journal install desk1.snapshot",
		RunE: func(cmd *cobra.Command, given []string) error {
			in, err := a.openInput(cmd.Context(), given[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }()
			text, err := io.ReadAll(in)
			if err != nil {
				return err
			}
			s, err := journal.Install(dir, text)
			if errors.Is(err, fs.ErrNotExist) {
				return problemf(exitNotFound, "there is no station in %s", printable(dir)).hint("make one: tokendesk journal init NAME")
			}
			if err != nil {
				return err
			}
			a.say("%s may write %s until %s, for %s; signed by the store %s", s.Station, count(s.Most, "key"), s.Until.Local().Format(time.DateTime), count(len(s.Persons), "person"), s.Signer)
			if s.Genuine != nil {
				a.say("keys must be proven genuine")
			}
			return nil
		},
	}
	stationFlag(cmd, a, &dir)
	return cmd
}

// stationOptions are the flags of journal station.
type grantOptions struct {
	public, out, until string
	groups             []string
	limit              int
}

func newJournalStationCmd(a *app) *cobra.Command {
	var o grantOptions
	cmd := &cobra.Command{
		Use: "station NAME --out FILE", Short: "Register a station and write its snapshot", Args: args(1, 1, "NAME"),
		Long: `Register a station, or know it again, and write what it may know and do: persons, profiles, the keys that are known, whether keys must be
proven genuine, how many keys it may write, and until when. There is no secret in the file, but the names of staff; it is signed. With --group only persons of that group are in it, and may
get keys. Limit, end and groups hold at the station, and again when its journal is imported.`,
		Example: "  tokendesk journal station DESK1 --public-key desk1.public --limit 40 --until 2026-06-01 --out desk1.snapshot",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.grantStation(cmd.Context(), given[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.public, "public-key", "", "the station's public key, or a file with it; needed the first time")
	f.StringVar(&o.out, "out", "", "the file to make")
	f.StringVar(&o.until, "until", "", "when it ends: YYYY-MM-DD or \"YYYY-MM-DD HH:MM\"; a week from now")
	f.StringArrayVar(&o.groups, "group", nil, "only persons of this group (may be repeated)")
	f.IntVar(&o.limit, "limit", 50, "how many keys it may write")
	return cmd
}

func (a *app) grantStation(ctx context.Context, name string, o grantOptions) error {
	until, err := parseUntil(o.until)
	switch {
	case err != nil:
		return err
	case o.out == "":
		return usagef("--out is missing: the file to make")
	case o.limit < 1 || o.limit > 10000:
		return usagef("--limit is 1 to 10000")
	case until.IsZero():
		until = a.now().AddDate(0, 0, 7)
	case !until.After(a.now()):
		return usagef("--until is in the past")
	}
	if _, err := os.Lstat(o.out); err == nil {
		return fileExists(o.out)
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	g := journal.Grant{Name: name, Groups: o.groups, Most: o.limit, Until: until}
	if o.public == "" {
		known, err := st.Station(ctx, name)
		if errors.Is(err, token.ErrNotFound) {
			return usagef("--public-key is missing: the line that tokendesk journal init printed at the station")
		}
		if err != nil {
			return err
		}
		g.Public = known.Public
	} else if err := a.stationLine(name, o.public, &g); err != nil {
		return err
	}
	p, err := a.paths()
	if err != nil {
		return err
	}
	key, err := a.transferKey(p, true)
	if err != nil {
		return err
	}
	g.Transfer = key.Public()
	signing, err := seal.LoadSigningFile(p.signing)
	if err != nil {
		return keyProblem(err, p.signing)
	}
	if g.Openers, err = a.openers(ctx); err != nil {
		return err
	}
	s, err := st.Grant(ctx, g)
	if errors.Is(err, token.ErrConflict) {
		return problemf(exitRefused, "the station %s has another key here, or was ended", name).hint("a name is used once: make the station anew with another name")
	}
	if err != nil {
		return err
	}
	text, err := s.Sign(signing)
	if err == nil {
		err = makeFile(o.out, func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		})
	}
	if err != nil {
		return err
	}
	a.say("snapshot %d of %s in %s: %s, %s, until %s", s.Grant, name, printable(o.out), count(s.Most, "key"), count(len(s.Persons), "person"), until.Local().Format(time.DateTime))
	return nil
}

// stationLine reads the line of a station, or the file with it.
func (a *app) stationLine(name, text string, g *journal.Grant) error {
	if !strings.HasPrefix(text, "tokendesk-station-public:") {
		b, err := os.ReadFile(text)
		if err != nil {
			return fileProblem(err, text)
		}
		text = string(b)
	}
	called, public, err := journal.ParseLine(text)
	if err != nil {
		return usagef("--public-key: %s", err)
	}
	if called != name {
		return usagef("that is the key of the station %s", called)
	}
	g.Public = public
	return nil
}

// transferKey is the key that opens journals; with fresh it is made if there is none.
func (a *app) transferKey(p paths, fresh bool) (seal.TransferKey, error) {
	path := filepath.Join(filepath.Dir(p.signing), transferFile)
	k, err := seal.LoadTransferFile(path)
	if fresh && errors.Is(err, fs.ErrNotExist) {
		if k, err = seal.CreateTransferFile(path, a.rand); err == nil {
			a.say("the key that opens journals: %s: keep a copy of it, as of the sealing key", path)
		}
	}
	if err != nil {
		return k, keyProblem(err, path)
	}
	return k, nil
}

// stationRow is a station as journal stations shows it.
type stationRow struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Grants  int64     `json:"snapshots"`
	Most    int       `json:"limit"`
	Taken   int       `json:"imported"` // of the last snapshot
	Until   time.Time `json:"until"`
	Records int64     `json:"records"` // of its journal that were seen
}

func newJournalStationsCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "stations", Short: "List stations, and what was imported from them", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			all, err := st.Stations(cmd.Context())
			if err != nil {
				return err
			}
			rows := make([]stationRow, len(all))
			for i, r := range all {
				rows[i] = stationRow{r.Name, "active", r.Grants, r.Most, r.Taken, r.Until, r.Seq}
				if !r.Active {
					rows[i].State = "ended"
				}
			}
			return list(a, "stations", rows, []column[stationRow]{
				{"Station", func(r stationRow) string { return r.Name }},
				{"State", func(r stationRow) string { return r.State }},
				{"Snapshots", func(r stationRow) string { return strconv.FormatInt(r.Grants, 10) }},
				{"Keys", func(r stationRow) string { return fmt.Sprintf("%d of %d", r.Taken, r.Most) }},
				{"Until", func(r stationRow) string { return a.when(r.Until) }},
			})
		},
	}
}

func newJournalEndCmd(a *app) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use: "end NAME", Short: "Take nothing more from a station", Args: args(1, 1, "NAME"),
		Long: `Take nothing more from a station that was stolen or is given up. What was imported stays; look through it with:
tokendesk audit list -o json.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			err = st.EndStation(cmd.Context(), given[0], note)
			if errors.Is(err, token.ErrNotFound) {
				return problemf(exitNotFound, "there is no station %q", printable(given[0])).hint("see: tokendesk journal stations")
			}
			if err == nil {
				a.say("nothing more is taken from %s", given[0])
			}
			return err
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "kept in the audit chain")
	return cmd
}
