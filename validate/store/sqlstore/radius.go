package sqlstore

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

var _ validate.NASes = (*Store)(nil)

// upstreamNumber stands for the secret of the upstream server, where the device's own are numbered from 1.
const upstreamNumber = 0

// devicePlace is where the n-th secret of a device is sealed.
func (s *Store) devicePlace(id, n int64) seal.Place {
	what := seal.What(fmt.Sprintf("shared-secret %d", n))
	if n == upstreamNumber {
		what = "upstream-secret"
	}
	return seal.Place{Store: s.id, Owner: "radius", ID: id, What: what}
}

const deviceColumns = `d.id, d.name, d.client, d.active, d.networks, d.password, d.code_length, d.otp_length, d.strip_realm, d.upstream,
	d.key_version, d.key_number, d.sealed, d.former_sealed, d.former_until, d.upstream_sealed`

// device is a row, with its secrets sealed.
type device struct {
	validate.NAS
	clientColumns
	upstream []byte
}

func scanDevice(row scanner) (d device, err error) {
	var rule string
	err = row.Scan(&d.ID, &d.Name, &d.Client, &d.Active, &d.networks, &rule, &d.CodeLen, &d.OTPLen, &d.StripRealm, &d.Upstream,
		&d.version, &d.number, &d.sealed, &d.former, &d.until, &d.upstream)
	if err != nil {
		return d, err
	}
	d.Password = validate.PasswordRule(rule)
	d.Networks, err = splitNetworks(d.networks)
	if err != nil {
		return d, fmt.Errorf("%w: networks of RADIUS device %d", token.ErrIntegrity, d.ID)
	}
	return d, nil
}

func splitNetworks(text string) (list []netip.Prefix, err error) {
	for _, f := range strings.Fields(text) {
		p, err := netip.ParsePrefix(f)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// devices are those that match, by number.
func devices(ctx context.Context, q querier, where string, args ...any) ([]device, error) {
	return collect(ctx, q, scanDevice, `SELECT `+deviceColumns+` FROM radius d `+where+` ORDER BY d.id`, args...)
}

// NASes implements validate.NASes.
func (s *Store) NASes(ctx context.Context) ([]validate.NAS, error) {
	now := s.now()
	list, err := devices(ctx, s.read, `WHERE d.active = 1`)
	if err != nil {
		return nil, fmt.Errorf("list RADIUS devices: %w", translate(err))
	}
	out := make([]validate.NAS, len(list))
	for i, d := range list {
		if out[i], err = s.unsealed(d, now); err != nil {
			return nil, fmt.Errorf("RADIUS device %d: %w", d.ID, translate(err))
		}
	}
	return out, nil
}

// unsealed opens the secrets that are valid now.
func (s *Store) unsealed(d device, now time.Time) (validate.NAS, error) {
	open := func(n int64, sealed []byte) (secret.Bytes, error) {
		return s.devices.open(s, clientKey{d.ID, n, string(sealed)}, s.devicePlace(d.ID, n), d.version)
	}
	newer, err := open(d.number, d.sealed)
	if err != nil {
		return d.NAS, err
	}
	d.Secrets = []secret.Bytes{newer}
	if d.rotating(now) {
		older, err := open(d.number-1, d.former)
		if err != nil {
			return d.NAS, err
		}
		d.Secrets, d.Until = append(d.Secrets, older), fromMicros(d.until)
	}
	if d.Upstream != "" {
		d.UpstreamSecret, err = open(upstreamNumber, d.upstream)
	}
	return d.NAS, err
}

// ListNAS implements desk.RADIUS.
func (s *Store) ListNAS(ctx context.Context) ([]validate.NAS, error) {
	now := s.now()
	list, err := devices(ctx, s.read, ``)
	if err != nil {
		return nil, fmt.Errorf("list RADIUS devices: %w", translate(err))
	}
	var out []validate.NAS
	for _, d := range list {
		if d.rotating(now) {
			d.Until = fromMicros(d.until)
		}
		out = append(out, d.NAS)
	}
	return out, nil
}

// deviceDetail is the detail of an event about a device; nil and "": it was not changed.
type deviceDetail struct {
	Name     string             `json:"name"`
	Client   int64              `json:"client,omitempty"`
	Networks *[]netip.Prefix    `json:"networks,omitempty"`
	Rules    *validate.NASRules `json:"rules,omitempty"`
	Upstream bool               `json:"upstream_secret,omitempty"` // a new one
	Secret   int64              `json:"secret,omitempty"`          // the number of the newer
	Until    *time.Time         `json:"until,omitempty"`
}

func (t *tx) device(action string, id int64, d deviceDetail) error {
	return t.desk(action, fmt.Sprintf("radius %d", id), d)
}

// freeNetworks is nil if no other active device has one of these.
func (t *tx) freeNetworks(ctx context.Context, id int64, networks []netip.Prefix) error {
	others, err := devices(ctx, t, `WHERE d.active = 1 AND d.id <> ?`, id)
	if err != nil {
		return err
	}
	for _, d := range others {
		if slices.ContainsFunc(networks, func(p netip.Prefix) bool { return slices.Contains(d.Networks, p) }) {
			return desk.ErrNetworkTaken
		}
	}
	return nil
}

// sealSecret is empty for no secret.
func (t *tx) sealSecret(id, n int64, k secret.Bytes) ([]byte, error) {
	if k.Len() == 0 {
		return []byte{}, nil
	}
	row, _, err := t.seal(t.s.devicePlace(id, n), k)
	return row, err
}

// AddNAS implements desk.RADIUS.
func (s *Store) AddNAS(ctx context.Context, n validate.NAS) (int64, error) {
	var id int64
	err := s.change(ctx, func(tx *tx) error {
		var client bool
		if err := tx.QueryRowContext(ctx, `SELECT active FROM client WHERE id = ?`, n.Client).Scan(&client); err != nil {
			return err
		}
		if !client {
			return desk.ErrClientRevoked
		}
		err := tx.freeNetworks(ctx, 0, n.Networks)
		if err != nil {
			return err
		}
		sealer, err := tx.sealing()
		if err != nil {
			return err
		}
		id, err = tx.insert(`INSERT INTO radius (name, client, networks, password, code_length, otp_length, strip_realm, upstream, upstream_sealed, key_version, sealed, active, created)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, n.Name, n.Client, joinNetworks(n.Networks), string(n.Password), n.CodeLen, n.OTPLen, n.StripRealm, n.Upstream,
			[]byte{}, sealer.Version(), []byte{}, n.Active, micros(tx.now))
		if err != nil {
			return err
		}
		shared, err := tx.sealSecret(id, 1, n.Secrets[0]) // bound to the number that it just got
		if err != nil {
			return err
		}
		upstream, err := tx.sealSecret(id, upstreamNumber, n.UpstreamSecret)
		if err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `UPDATE radius SET sealed = ?, upstream_sealed = ? WHERE id = ?`, shared, upstream, id); err != nil {
			return err
		}
		return tx.device("radius.add", id, deviceDetail{Name: n.Name, Client: n.Client, Networks: &n.Networks, Rules: &n.NASRules, Secret: 1})
	})
	if err != nil {
		return 0, fmt.Errorf("add RADIUS device: %w", translate(err))
	}
	return id, nil
}

// activeDevice is the device; token.ErrConflict if it is revoked.
func (t *tx) activeDevice(ctx context.Context, id int64) (device, error) {
	if err := t.freshen(ctx, "radius", id); err != nil { // one column says of all secrets what sealed them
		return device{}, err
	}
	d, err := scanDevice(t.QueryRowContext(ctx, `SELECT `+deviceColumns+` FROM radius d WHERE d.id = ?`, id))
	if err == nil && !d.Active {
		err = token.ErrConflict
	}
	return d, err
}

// SetNAS implements desk.RADIUS.
func (s *Store) SetNAS(ctx context.Context, id int64, c desk.NASChange) error {
	err := s.change(ctx, func(tx *tx) error {
		d, err := tx.activeDevice(ctx, id)
		if err != nil {
			return err
		}
		detail := deviceDetail{Name: d.Name, Networks: c.Networks, Rules: c.Rules, Upstream: c.UpstreamSecret != nil}
		if c.Networks != nil {
			if err := tx.freeNetworks(ctx, id, *c.Networks); err != nil {
				return err
			}
			d.Networks = *c.Networks
		}
		if c.Rules != nil {
			d.NASRules = *c.Rules
		}
		switch {
		case d.Upstream == "":
			d.upstream = []byte{}
		case c.UpstreamSecret != nil:
			if d.upstream, err = tx.sealSecret(id, upstreamNumber, *c.UpstreamSecret); err != nil {
				return err
			}
		}
		err = tx.one(token.ErrNotFound, `UPDATE radius SET networks = ?, password = ?, code_length = ?, otp_length = ?, strip_realm = ?, upstream = ?, upstream_sealed = ? WHERE id = ?`,
			joinNetworks(d.Networks), string(d.Password), d.CodeLen, d.OTPLen, d.StripRealm, d.Upstream, d.upstream, id)
		if err != nil {
			return err
		}
		return tx.device("radius.set", id, detail)
	})
	if err != nil {
		return fmt.Errorf("set RADIUS device: %w", translate(err))
	}
	return nil
}

// RotateNAS implements desk.RADIUS.
func (s *Store) RotateNAS(ctx context.Context, id int64, shared secret.Bytes, keep time.Duration) (time.Time, error) {
	var until time.Time
	err := s.change(ctx, func(tx *tx) error {
		d, err := tx.activeDevice(ctx, id)
		switch {
		case err != nil:
			return err
		case keep > 0 && d.rotating(tx.now):
			return desk.ErrRotating
		}
		former := []byte{}
		detail := deviceDetail{Name: d.Name, Secret: d.number + 1}
		until = time.Time{}
		if keep > 0 {
			former, until = d.sealed, tx.now.Add(keep).Truncate(time.Microsecond).UTC()
			detail.Until = &until
		}
		sealed, err := tx.sealSecret(id, d.number+1, shared)
		if err != nil {
			return err
		}
		err = tx.one(token.ErrNotFound, `UPDATE radius SET sealed = ?, former_sealed = ?, former_until = ?, key_number = ? WHERE id = ?`,
			sealed, former, micros(until), d.number+1, id)
		if err != nil {
			return err
		}
		return tx.device("radius.rotate", id, detail)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("rotate RADIUS secret: %w", translate(err))
	}
	return until, nil
}

// RevokeNAS implements desk.RADIUS.
func (s *Store) RevokeNAS(ctx context.Context, id int64) error {
	err := s.change(ctx, func(tx *tx) error {
		d, err := tx.activeDevice(ctx, id)
		if err != nil {
			return err
		}
		err = tx.one(token.ErrNotFound, `UPDATE radius SET active = 0, sealed = ?1, former_sealed = ?1, former_until = 0, upstream_sealed = ?1 WHERE id = ?2`, []byte{}, id)
		if err != nil {
			return err
		}
		return tx.device("radius.revoke", id, deviceDetail{Name: d.Name})
	})
	if err != nil {
		return fmt.Errorf("revoke RADIUS device: %w", translate(err))
	}
	return nil
}
