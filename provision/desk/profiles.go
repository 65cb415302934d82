package desk

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/provision/profile"
)

// StoredProfile is one version of a profile. Versions count from 1 and are never changed: what was made by one can be looked up for ever.
type StoredProfile struct {
	profile.Profile
	Version int
	By      string // the actor who added it
	Created time.Time
	Removed time.Time // zero: it is offered
}

// Profiles keeps what is written into keys.
type Profiles interface {
	// AddProfile adds version 1 of a profile that Check takes, or with change the next version of one that is offered. A text that
	// the offered version has already adds nothing, and that version is the answer. Without change token.ErrDuplicate for a name
	// that is offered, with it token.ErrNotFound for one that is not. A name that was removed goes on with its next version.
	AddProfile(ctx context.Context, p profile.Profile, change bool) (StoredProfile, error)
	// ListProfiles are the newest versions of those that are offered, by name.
	ListProfiles(ctx context.Context) ([]StoredProfile, error)
	// ProfileVersions are all versions of one name, removed ones too, the newest first; token.ErrNotFound.
	ProfileVersions(ctx context.Context, name string) ([]StoredProfile, error)
	// RemoveProfile takes a name out of the offer; its versions stay. token.ErrNotFound for a name that is not offered.
	RemoveProfile(ctx context.Context, name string) error
}

// AddProfile is Store.AddProfile behind Check, whose *profile.CheckError says what to do.
func (d *Desk) AddProfile(ctx context.Context, p profile.Profile, change bool) (StoredProfile, error) {
	if err := p.Check(); err != nil {
		return StoredProfile{}, err
	}
	return d.Store.AddProfile(ctx, p, change)
}

// Profiles are those that are offered.
func (d *Desk) Profiles(ctx context.Context) ([]StoredProfile, error) {
	return d.Store.ListProfiles(ctx)
}

// ProfileVersions are all versions of one.
func (d *Desk) ProfileVersions(ctx context.Context, name string) ([]StoredProfile, error) {
	return d.Store.ProfileVersions(ctx, name)
}

// RemoveProfile is Store.RemoveProfile.
func (d *Desk) RemoveProfile(ctx context.Context, name string) error {
	return d.Store.RemoveProfile(ctx, name)
}
