package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

const profileColumns = `f.version, f.content, f.actor, f.created, f.removed`

func scanProfile(row scanner) (desk.StoredProfile, error) {
	var p desk.StoredProfile
	var text string
	var created, removed int64
	err := row.Scan(&p.Version, &text, &p.By, &created, &removed)
	if err != nil {
		return p, err
	}
	p.Created, p.Removed = fromMicros(created), fromMicros(removed)
	p.Profile, err = profile.Parse(text)
	return p, err
}

// profileDetail is the detail of an event about a profile.
type profileDetail struct {
	Name        string `json:"name"`
	Version     int    `json:"version"`
	Fingerprint string `json:"fingerprint"`
}

func (t *tx) profile(action string, p desk.StoredProfile) error {
	return t.desk(action, "profile "+p.Name, profileDetail{p.Name, p.Version, p.Fingerprint()})
}

// newestProfile is the last version of a name, offered or not; Version 0 when there is none.
func (t *tx) newestProfile(ctx context.Context, name string) (desk.StoredProfile, error) {
	p, err := scanProfile(t.QueryRowContext(ctx, `SELECT `+profileColumns+` FROM profile f WHERE f.name = ? ORDER BY f.version DESC LIMIT 1`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return desk.StoredProfile{}, nil
	}
	return p, err
}

// AddProfile implements desk.Profiles. Two that add the next version at once: the unique pair lets one through.
func (s *Store) AddProfile(ctx context.Context, p profile.Profile, change bool) (desk.StoredProfile, error) {
	var out desk.StoredProfile
	err := s.change(ctx, func(tx *tx) error {
		last, err := tx.newestProfile(ctx, p.Name)
		if err != nil {
			return err
		}
		offered := last.Version > 0 && last.Removed.IsZero()
		switch {
		case offered && last.String() == p.String():
			out = last
			return nil
		case offered && !change:
			return token.ErrDuplicate
		case change && !offered:
			return token.ErrNotFound
		}
		out = desk.StoredProfile{Profile: p, Version: last.Version + 1, By: tx.actor, Created: fromMicros(micros(tx.now))}
		if _, err := tx.insert(`INSERT INTO profile (name, version, content, actor, created) VALUES (?, ?, ?, ?, ?)`,
			p.Name, out.Version, p.String(), out.By, micros(tx.now)); err != nil {
			return err
		}
		return tx.profile("profile.add", out)
	})
	if err != nil {
		return desk.StoredProfile{}, fmt.Errorf("add profile: %w", translate(err))
	}
	return out, nil
}

// offeredText are the newest versions of those that are offered.
const offeredText = `SELECT ` + profileColumns + ` FROM profile f
	WHERE f.removed = 0 AND f.version = (SELECT max(g.version) FROM profile g WHERE g.name = f.name) ORDER BY f.name`

// ListProfiles implements desk.Profiles.
func (s *Store) ListProfiles(ctx context.Context) ([]desk.StoredProfile, error) {
	list, err := collect(ctx, s.read, scanProfile, offeredText)
	if err != nil {
		return nil, fmt.Errorf("list profiles: %w", translate(err))
	}
	return list, nil
}

// ProfileVersions implements desk.Profiles.
func (s *Store) ProfileVersions(ctx context.Context, name string) ([]desk.StoredProfile, error) {
	list, err := collect(ctx, s.read, scanProfile, `SELECT `+profileColumns+` FROM profile f WHERE f.name = ? ORDER BY f.version DESC`, name)
	if err == nil && len(list) == 0 {
		err = token.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("versions of a profile: %w", translate(err))
	}
	return list, nil
}

// RemoveProfile implements desk.Profiles.
func (s *Store) RemoveProfile(ctx context.Context, name string) error {
	err := s.change(ctx, func(tx *tx) error {
		last, err := tx.newestProfile(ctx, name)
		if err != nil {
			return err
		}
		if last.Version == 0 || !last.Removed.IsZero() {
			return token.ErrNotFound
		}
		if _, err := tx.Exec(`UPDATE profile SET removed = ? WHERE name = ? AND removed = 0`, micros(tx.now), name); err != nil {
			return err
		}
		return tx.profile("profile.remove", last)
	})
	if err != nil {
		return fmt.Errorf("remove profile: %w", translate(err))
	}
	return nil
}
