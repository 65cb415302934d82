package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

var _ validate.Clients = (*Store)(nil)

// clientKeys keeps the unsealed keys of clients, or the secrets of devices that ask by RADIUS. A key is known by its sealed bytes, which
// are read anew each time, so that no process goes on with one that another has replaced; they hold a nonce, so no two are alike.
type clientKeys struct {
	mu sync.Mutex
	m  map[clientKey]secret.Bytes
}

type clientKey struct {
	id, number int64
	sealed     string
}

func (c *clientKeys) destroy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.m {
		k.Destroy()
	}
	c.m = nil
}

// clientPlace is where the n-th key of a client is sealed. The first has no number: stores had one key per client once.
func (s *Store) clientPlace(id, n int64) seal.Place {
	what := seal.ClientKey
	if n > 1 {
		what += seal.What(fmt.Sprintf(" %d", n))
	}
	return seal.Place{Store: s.id, Owner: "client", ID: id, What: what}
}

// Client implements validate.Clients.
func (s *Store) Client(ctx context.Context, id int64) (validate.Client, error) {
	c, err := s.client(ctx, id)
	if err != nil {
		return validate.Client{}, fmt.Errorf("find client: %w", translate(err))
	}
	return c, nil
}

func (s *Store) client(ctx context.Context, id int64) (validate.Client, error) {
	var c validate.Client
	var k clientColumns
	row := s.row(ctx, s.hot.client, id)
	var g validate.Generation
	if err := row.Scan(&c.ID, &c.Name, &c.Active, &c.MustSig, &c.Decrypt, &k.networks, &k.groups, &k.version, &k.number, &k.sealed, &k.former, &k.until, &g); err != nil {
		return c, err
	}
	if err := k.rights(&c); err != nil || !c.Active {
		return c, err
	}
	newer, err := s.clientKey(clientKey{id, k.number, string(k.sealed)}, k.version)
	if err != nil {
		return c, err
	}
	c.Keys = []secret.Bytes{newer}
	if !k.rotating(s.now()) {
		s.kept.putClient(g, c)
		return c, nil
	}
	older, err := s.clientKey(clientKey{id, k.number - 1, string(k.former)}, k.version)
	if err != nil {
		return c, err
	}
	c.Keys, c.Until = append(c.Keys, older), fromMicros(k.until)
	s.kept.putClient(g, c)
	return c, nil
}

// clientColumns are those that need reading.
type clientColumns struct {
	networks, groups string
	version          uint32
	number, until    int64
	sealed, former   []byte
}

// rotating reports whether the former key is valid.
func (k *clientColumns) rotating(now time.Time) bool {
	return len(k.former) > 0 && now.Before(fromMicros(k.until))
}

// rights reads the two lists. What it cannot read gives no right.
func (k *clientColumns) rights(c *validate.Client) error {
	for _, text := range strings.Fields(k.networks) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%w: networks of client %d", token.ErrIntegrity, c.ID)
		}
		c.Networks = append(c.Networks, p)
	}
	if k.groups != "" && json.Unmarshal([]byte(k.groups), &c.Groups) != nil {
		return fmt.Errorf("%w: groups of client %d", token.ErrIntegrity, c.ID)
	}
	return nil
}

// clientKey opens a key, or returns the one that is open.
func (s *Store) clientKey(k clientKey, version uint32) (secret.Bytes, error) {
	key, err := s.clients.open(s, k, s.clientPlace(k.id, k.number), version)
	if err != nil {
		return key, fmt.Errorf("client %d: %w", k.id, err)
	}
	return key, nil
}

// open opens a key, or returns the one that is open.
func (c *clientKeys) open(s *Store, k clientKey, at seal.Place, version uint32) (secret.Bytes, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key, ok := c.m[k]; ok {
		return key, nil
	}
	key, err := s.unseal(at, version, []byte(k.sealed))
	if err != nil {
		return secret.Bytes{}, err
	}
	if c.m == nil {
		c.m = map[clientKey]secret.Bytes{}
	}
	c.m[k] = key
	return key, nil
}

// AddClient implements desk.Clients.
func (s *Store) AddClient(ctx context.Context, c validate.Client) (int64, error) {
	var id int64
	err := s.change(ctx, func(tx *tx) error {
		sealer, err := tx.sealing()
		if err != nil {
			return err
		}
		// The number is not drawn by the database, which does not see those that were taken over with theirs.
		id, err = tx.insert(`INSERT INTO client (id, name, active, must_sign, decrypt, networks, groups, key_version, sealed, created)
			VALUES ((SELECT coalesce(max(id), 0) + 1 FROM client), ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			c.Name, c.Active, c.MustSig, c.Decrypt, joinNetworks(c.Networks), joinGroups(c.Groups), sealer.Version(), []byte{}, micros(tx.now))
		if err != nil {
			return err
		}
		row, _, err := tx.seal(s.clientPlace(id, 1), c.Keys[0]) // bound to the number that it just got
		if err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `UPDATE client SET sealed = ? WHERE id = ?`, row, id); err != nil {
			return err
		}
		return tx.client("client.add", id, clientDetail{Name: c.Name, MustSign: &c.MustSig, Decrypt: &c.Decrypt, Networks: &c.Networks, Groups: &c.Groups})
	})
	if err != nil {
		return 0, fmt.Errorf("add client: %w", translate(err))
	}
	return id, nil
}

// joinNetworks and joinGroups write the two lists.
func joinNetworks(list []netip.Prefix) string {
	var text []string
	for _, p := range list {
		text = append(text, p.String())
	}
	return strings.Join(text, " ")
}

func joinGroups(list []string) string {
	if len(list) == 0 {
		return ""
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// clientDetail is the detail of an event about a client; nil: it was not changed.
type clientDetail struct {
	Name     string          `json:"name,omitempty"`
	MustSign *bool           `json:"must_sign,omitempty"`
	Decrypt  *bool           `json:"decrypt,omitempty"`
	Active   *bool           `json:"active,omitempty"`
	Networks *[]netip.Prefix `json:"networks,omitempty"`
	Groups   *[]string       `json:"groups,omitempty"`
	Key      int64           `json:"key,omitempty"` // the number of the newer
	Until    *time.Time      `json:"until,omitempty"`
}

func (t *tx) client(action string, id int64, d clientDetail) error {
	return t.desk(action, fmt.Sprintf("client %d", id), d)
}

// ListClients implements desk.Clients.
func (s *Store) ListClients(ctx context.Context) ([]validate.Client, error) {
	now := s.now()
	list, err := collect(ctx, s.read, func(row scanner) (c validate.Client, err error) {
		var k clientColumns
		if err = row.Scan(&c.ID, &c.Name, &c.Active, &c.MustSig, &c.Decrypt, &c.Note, &k.networks, &k.groups, &k.former, &k.until); err != nil {
			return c, err
		}
		if k.rotating(now) {
			c.Until = fromMicros(k.until)
		}
		return c, k.rights(&c)
	}, `SELECT id, name, active, must_sign, decrypt, note, networks, groups, former_sealed, former_until FROM client ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", translate(err))
	}
	return list, nil
}

// RotateClient implements desk.Clients.
func (s *Store) RotateClient(ctx context.Context, id int64, key secret.Bytes, keep time.Duration) (time.Time, error) {
	var until time.Time
	err := s.change(ctx, func(tx *tx) error {
		var name string
		var active bool
		var k clientColumns
		if err := tx.freshen(ctx, "client", id); err != nil { // one column says of both keys what sealed them
			return err
		}
		err := tx.QueryRowContext(ctx, `SELECT name, active, key_version, key_number, sealed, former_sealed, former_until FROM client WHERE id = ?`, id).
			Scan(&name, &active, &k.version, &k.number, &k.sealed, &k.former, &k.until)
		switch {
		case err != nil:
			return err
		case !active:
			return token.ErrConflict
		case keep > 0 && k.rotating(tx.now):
			return desk.ErrRotating
		}
		former := []byte{}
		if keep > 0 {
			former, until = k.sealed, tx.now.Add(keep).Truncate(time.Microsecond).UTC()
		}
		row, _, err := tx.seal(s.clientPlace(id, k.number+1), key)
		if err != nil {
			return err
		}
		err = tx.one(token.ErrNotFound, `UPDATE client SET sealed = ?, former_sealed = ?, former_until = ?, key_number = ? WHERE id = ?`,
			row, former, micros(until), k.number+1, id)
		if err != nil {
			return err
		}
		d := clientDetail{Name: name, Key: k.number + 1}
		if keep > 0 {
			d.Until = &until
		}
		return tx.client("client.rotate", id, d)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("rotate client: %w", translate(err))
	}
	return until, nil
}

// SetClient implements desk.Clients.
func (s *Store) SetClient(ctx context.Context, id int64, c desk.ClientChange) error {
	err := s.change(ctx, func(tx *tx) error {
		name, err := tx.activeClient(ctx, id)
		if err != nil {
			return err
		}
		var columns []string
		var values []any
		set := func(column string, value any) {
			columns, values = append(columns, column+" = ?"), append(values, value)
		}
		if c.MustSig != nil {
			set("must_sign", *c.MustSig)
		}
		if c.Decrypt != nil {
			set("decrypt", *c.Decrypt)
		}
		if c.Networks != nil {
			set("networks", joinNetworks(*c.Networks))
		}
		if c.Groups != nil {
			set("groups", joinGroups(*c.Groups))
		}
		if len(columns) == 0 {
			return nil
		}
		if err := tx.one(token.ErrNotFound, `UPDATE client SET `+strings.Join(columns, ", ")+` WHERE id = ?`, append(values, id)...); err != nil {
			return err
		}
		return tx.client("client.set", id, clientDetail{Name: name, MustSign: c.MustSig, Decrypt: c.Decrypt, Networks: c.Networks, Groups: c.Groups})
	})
	if err != nil {
		return fmt.Errorf("set client: %w", translate(err))
	}
	return nil
}

// RevokeClient implements desk.Clients.
func (s *Store) RevokeClient(ctx context.Context, id int64) error {
	err := s.change(ctx, func(tx *tx) error {
		name, err := tx.activeClient(ctx, id)
		if err != nil {
			return err
		}
		err = tx.one(token.ErrNotFound, `UPDATE client SET active = 0, sealed = ?1, former_sealed = ?1, former_until = 0 WHERE id = ?2`, []byte{}, id)
		if err != nil {
			return err
		}
		return tx.client("client.revoke", id, clientDetail{Name: name})
	})
	if err != nil {
		return fmt.Errorf("revoke client: %w", translate(err))
	}
	return nil
}

// activeClient is the client's name; token.ErrConflict if it is revoked.
func (t *tx) activeClient(ctx context.Context, id int64) (string, error) {
	var name string
	var active bool
	err := t.QueryRowContext(ctx, `SELECT name, active FROM client WHERE id = ?`, id).Scan(&name, &active)
	if err == nil && !active {
		err = token.ErrConflict
	}
	return name, err
}
