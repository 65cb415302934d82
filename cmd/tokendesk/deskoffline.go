package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// offline is a station's journal: what is issued counts when it is imported.
type offline struct{ *journal.Station }

var _ enroller = offline{}

// errOnlineOnly is what a desk cannot do by its journal.
var errOnlineOnly = errors.New("that needs the store, and this desk works without it")

// Search implements enroller.
func (o offline) Search(_ context.Context, query string, most int) ([]desk.Hit, error) {
	var hits []desk.Hit
	for _, p := range o.Persons(query) {
		if len(hits) < most {
			hits = append(hits, desk.Hit{Person: &p, Why: desk.ByName})
		}
	}
	return hits, nil
}

// PersonHolds implements enroller.
func (o offline) PersonHolds(ctx context.Context, account string) (token.Person, []token.Token, error) {
	return o.Person(ctx, account)
}

// Bind implements enroller: whether an OTP is fresh only the store knows.
func (offline) Bind(context.Context, string, desk.Issue) (token.Token, token.Receipt, desk.Proof, error) {
	return token.Token{}, token.Receipt{}, "", errOnlineOnly
}

// Ship implements enroller.
func (offline) Ship(context.Context, string, desk.Ship) (desk.Shipment, error) {
	return desk.Shipment{}, errOnlineOnly
}

// Retire implements enroller.
func (offline) Retire(context.Context, string, string) (token.Token, error) {
	return token.Token{}, errOnlineOnly
}

// Profile implements enroller.
func (o offline) Profile(_ context.Context, name string) (profile.Profile, error) {
	for _, kept := range o.Snapshot().Profiles {
		if p, err := profile.Parse(kept.Text); err == nil && p.Name == name {
			return p, nil
		}
	}
	return profile.Profile{}, token.ErrNotFound
}

// stationDir is where the station's journal is, in the data directory.
const stationDir = "station"

// dirAlone refuses --dir where no station is meant.
func dirAlone(cmd *cobra.Command, offline bool) error {
	if !offline && cmd.Flags().Changed("dir") {
		return usagef("--dir is the directory of a station: it goes with --offline")
	}
	return nil
}

// openStation opens the journal in a directory.
func (a *app) openStation(dir string) (*journal.Station, error) {
	s, err := journal.Open(dir, a.stationOptions())
	if errors.Is(err, fs.ErrNotExist) {
		err = problemf(exitNotFound, "open station: there is none in %s, or it has no snapshot", printable(dir)).
			hint("make one: tokendesk journal init NAME").hint("take the server's snapshot: tokendesk journal install FILE")
	}
	return s, err
}

// openEnroller opens the store, or with --offline the journal, and what the site wants of keys that come in.
func (a *app) openEnroller(ctx context.Context, o deskOptions) (enroller, *intake, func(), error) {
	if o.offline {
		s, err := a.openStation(o.dir)
		if err != nil {
			return nil, nil, nil, err
		}
		wanted, err := a.stationIntake(s)
		if err != nil {
			return nil, nil, nil, errors.Join(err, s.Close())
		}
		return a.plugStore(offline{s}), wanted, func() { _ = s.Close() }, nil // what counts is durable already
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	wanted, err := a.newIntake(ctx, st)
	if err != nil {
		return nil, nil, nil, errors.Join(err, st.Close())
	}
	return a.plugStore(online{st, a.desk(st)}), wanted, func() { _ = st.Close() }, nil
}

// plugStore lets a test stand between a desk and its store.
func (a *app) plugStore(e enroller) enroller {
	if a.deskStore == nil {
		return e
	}
	return a.deskStore(e)
}

// profiled is what a profile says, and its name.
func (a *app) profiled(ctx context.Context, store enroller, name string) (provision.Spec, profile.Profile, error) {
	p, err := store.Profile(ctx, name)
	if errors.Is(err, token.ErrNotFound) {
		return provision.Spec{}, p, problemf(exitNotFound, "there is no profile %q", printable(name)).hint("see: tokendesk provision profile list")
	}
	if err != nil {
		return provision.Spec{}, p, err
	}
	return provision.FromProfile(p), p, nil
}
