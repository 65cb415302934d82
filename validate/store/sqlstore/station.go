package sqlstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// stationRow is a station as the database knows it.
type stationRow struct {
	journal.Registered
	id int64
}

const stationText = `SELECT s.id, s.name, s.public, s.active, s.series, s.seq, s.head, s.created,
	coalesce(g.number, 0), coalesce(g.most, 0), coalesce(g.until, 0),
	(SELECT count(*) FROM journal_entry j WHERE j.station = s.id AND j.grant_no = g.number AND j.outcome <> 'aborted')
	FROM station s LEFT JOIN station_grant g ON g.station = s.id AND g.number = (SELECT max(number) FROM station_grant WHERE station = s.id) `

func scanStation(row scanner) (stationRow, error) {
	var r stationRow
	var series, head, public []byte
	var until, created int64
	err := row.Scan(&r.id, &r.Name, &public, &r.Active, &series, &r.Seq, &head, &created, &r.Grants, &r.Most, &until, &r.Taken)
	copy(r.Series[:], series)
	copy(r.Hash[:], head)
	r.Public, r.Until, r.Created = public, fromMicros(until), fromMicros(created)
	return r, err
}

// Station implements journal.Store.
func (s *Store) Station(ctx context.Context, name string) (journal.Registered, error) {
	r, err := scanStation(s.read.QueryRowContext(ctx, stationText+`WHERE s.name = ?`, name))
	return r.Registered, translate(err)
}

// Stations implements journal.Registrar.
func (s *Store) Stations(ctx context.Context) ([]journal.Registered, error) {
	list, err := collect(ctx, s.read, scanStation, stationText+`ORDER BY s.name`)
	if err != nil {
		return nil, fmt.Errorf("read stations: %w", translate(err))
	}
	out := make([]journal.Registered, len(list))
	for i, r := range list {
		out[i] = r.Registered
	}
	return out, nil
}

// EndStation implements journal.Registrar.
func (s *Store) EndStation(ctx context.Context, name, note string) error {
	err := s.change(ctx, func(tx *tx) error {
		if err := tx.one(token.ErrNotFound, `UPDATE station SET active = 0 WHERE name = ? AND active = 1`, name); err != nil {
			return err
		}
		return tx.desk("station.end", stationObject(name), map[string]string{"note": note})
	})
	if err != nil {
		err = fmt.Errorf("end station: %w", translate(err))
	}
	return err
}

func stationObject(name string) string { return "station " + name }

// Grant implements journal.Registrar.
func (s *Store) Grant(ctx context.Context, g journal.Grant) (journal.Snapshot, error) {
	var out journal.Snapshot
	err := s.change(ctx, func(tx *tx) (err error) {
		out, err = tx.grant(ctx, g)
		return err
	})
	if err != nil {
		return journal.Snapshot{}, fmt.Errorf("grant: %w", translate(err))
	}
	return out, nil
}

func (t *tx) grant(ctx context.Context, g journal.Grant) (journal.Snapshot, error) {
	out := journal.Snapshot{
		Store: hex.EncodeToString(t.s.id[:]), Transfer: g.Transfer.String(), Station: g.Name, Public: hex.EncodeToString(g.Public), Most: g.Most,
		Until: g.Until.UTC(), Issued: t.now.UTC(), Openers: g.Openers,
	}
	known, err := scanStation(t.QueryRowContext(ctx, stationText+`WHERE s.name = ?`, g.Name))
	switch {
	case isNotFound(err):
		known.id, err = t.insert(`INSERT INTO station (name, public, active, series, head, created) VALUES (?, ?, 1, ?, ?, ?)`,
			g.Name, []byte(g.Public), []byte{}, []byte{}, micros(t.now))
	case err == nil && (!bytes.Equal(known.Public, g.Public) || !known.Active):
		err = token.ErrConflict
	}
	if err != nil {
		return out, err
	}
	out.Grant = known.Grants + 1
	groups, err := json.Marshal(append([]string{}, g.Groups...))
	if err != nil {
		return out, err
	}
	if out.Genuine, err = t.tellGenuine(ctx); err != nil {
		return out, err
	}
	if _, err := t.Exec(`INSERT INTO station_grant (station, number, most, until, groups_only, created, genuine) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		known.id, out.Grant, g.Most, micros(g.Until), string(groups), micros(t.now), out.Genuine != nil); err != nil {
		return out, err
	}
	if err := t.tellStation(ctx, &out, g.Groups); err != nil {
		return out, err
	}
	err = t.desk("station.grant", stationObject(g.Name), map[string]any{"grant": out.Grant, "most": g.Most, "until": g.Until.UTC().Format(time.RFC3339),
		"persons": len(out.Persons), "groups": g.Groups, "public": out.Public, "genuine": out.Genuine != nil})
	if err != nil {
		return out, err
	}
	head, err := t.head(audit.Desk)
	out.Checkpoint, out.Hash = head.Seq, hex.EncodeToString(head.Hash[:])
	return out, err
}

// inOne reports whether somebody is in one of the groups of a grant; none: everybody is.
func inOne(p token.Person, groups []string) bool {
	return len(groups) == 0 || slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

// tellStation fills in what the station is told.
func (t *tx) tellStation(ctx context.Context, out *journal.Snapshot, groups []string) error {
	persons, err := collect(ctx, t, scanPerson, `SELECT `+personColumns+` FROM person p ORDER BY p.account`)
	if err != nil {
		return err
	}
	in := map[string]bool{}
	for _, p := range persons {
		if inOne(p, groups) {
			in[p.Account] = true
			out.Persons = append(out.Persons, journal.Person{ID: p.ID, Account: p.Account, Name: p.Name, Groups: p.Groups})
		}
	}
	tokens, err := collect(ctx, t, scanToken, `SELECT `+tokenColumns+tokenFrom+`WHERE t.serial IS NOT NULL OR t.holder IS NOT NULL ORDER BY t.id`)
	if err != nil {
		return err
	}
	slots := map[token.ID][]journal.KnownSlot{}
	live, err := collect(ctx, t, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.slot IN (1, 2) AND c.kind <> 'piv' AND c.state NOT IN ('pending', 'revoked') ORDER BY c.id`)
	if err != nil {
		return err
	}
	for _, c := range live {
		slots[c.Token] = append(slots[c.Token], journal.KnownSlot{Slot: c.Slot, Kind: c.Kind, PublicID: c.PublicID})
	}
	for _, k := range tokens {
		one := journal.Known{ID: k.ID, Model: k.Model, Serial: k.Serial, Label: k.Label, State: k.State, Slots: slots[k.ID]}
		if k.Holder != nil {
			if one.Holder = k.Holder.Account; !in[one.Holder] {
				one.Holder = journal.Elsewhere
			}
		}
		if k.Serial != 0 || one.Holder != journal.Elsewhere {
			out.Tokens = append(out.Tokens, one)
		}
	}
	profiles, err := collect(ctx, t, scanProfile, offeredText)
	for _, p := range profiles {
		out.Profiles = append(out.Profiles, journal.Profile{Name: p.Name, Version: p.Version, Text: p.String()})
	}
	return err
}

// Seen implements journal.Store.
func (s *Store) Seen(ctx context.Context, name string, series [16]byte, seq int64, hash [32]byte) error {
	err := s.change(ctx, func(tx *tx) error {
		known, err := scanStation(tx.QueryRowContext(ctx, stationText+`WHERE s.name = ?`, name))
		if err != nil {
			return err
		}
		if known.Series == series && known.Seq >= seq {
			return errUnchanged
		}
		if err := tx.one(token.ErrNotFound, `UPDATE station SET series = ?, seq = ?, head = ? WHERE id = ?`, series[:], seq, hash[:], known.id); err != nil {
			return err
		}
		return tx.desk("journal.seen", stationObject(name), map[string]any{"record": seq, "hash": hex.EncodeToString(hash[:])})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("journal: %w", translate(err))
	}
	return nil
}
