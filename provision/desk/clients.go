package desk

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// clientKeyLen is the length of a client's key in bytes. Source: reference validation-protocol.md §16.
const clientKeyLen = 20

// ErrRotating says that the client is between two keys already.
var ErrRotating = errors.New("its former key is still valid")

// Clients keeps relying servers. What changes counts at once in every process.
type Clients interface {
	// AddClient seals its one key and returns the client's number; token.ErrDuplicate for a name that is taken.
	AddClient(ctx context.Context, c validate.Client) (int64, error)
	// ListClients are all, by number, without keys.
	ListClients(ctx context.Context) ([]validate.Client, error)
	// RotateClient makes key the newer one and keeps the former for that long, by the store's clock; with 0 no other key stays
	// valid. It returns when the former ends. ErrRotating if two are valid and keep is not 0, token.ErrConflict if the client
	// is revoked.
	RotateClient(ctx context.Context, id int64, key secret.Bytes, keep time.Duration) (time.Time, error)
	// SetClient changes rights; token.ErrConflict if the client is revoked.
	SetClient(ctx context.Context, id int64, c ClientChange) error
	// RevokeClient ends the client and destroys its keys; token.ErrConflict if it was done.
	RevokeClient(ctx context.Context, id int64) error
	// ImportClients adds those that are new, with their numbers and keys, and says what became of each; it changes none. dry: it
	// says so and adds none.
	ImportClients(ctx context.Context, source string, list []ForeignClient, dry bool) ([]Imported, error)
}

// ClientRights are what is registered with a relying server. The zero ClientRights are all rights but Decrypt.
type ClientRights struct {
	MustSig  bool
	Decrypt  bool           // it may ask what an OTP says
	Networks []netip.Prefix // from where it may ask; none: anywhere
	Groups   []string       // about whose persons; none: about everybody
}

// ClientChange changes rights; what is nil stays.
type ClientChange struct {
	MustSig  *bool
	Decrypt  *bool
	Networks *[]netip.Prefix
	Groups   *[]string
}

// ParseNetwork reads a prefix, such as 192.0.2.0/24, or an address for itself alone. IPv4-mapped IPv6 is IPv4.
func ParseNetwork(s string) (netip.Prefix, error) {
	bad := &TextError{"network", "is no address and no prefix such as 192.0.2.0/24"}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.Zone() != "" {
			return netip.Prefix{}, bad
		}
		p = netip.PrefixFrom(ip, ip.BitLen())
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 { // it would hold IPv4 and other addresses
			return netip.Prefix{}, bad
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// checkGroup: a group must fit between semicolons in a file of persons.
func checkGroup(name string) error {
	if err := checkText("group", name, true); err != nil {
		return err
	}
	for _, c := range name {
		if c == ';' {
			return &TextError{"group", "has a semicolon"}
		}
	}
	return nil
}

// checkGroups returns them sorted, each once.
func checkGroups(list []string) ([]string, error) {
	for _, g := range list {
		if err := checkGroup(g); err != nil {
			return nil, err
		}
	}
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out), nil
}

// AddClient registers a relying server. The key, 20 random bytes, is in the answer; the caller shows it once and destroys it.
func (d *Desk) AddClient(ctx context.Context, name string, r ClientRights) (validate.Client, error) {
	if err := checkText("name", name, true); err != nil {
		return validate.Client{}, err
	}
	if _, err := strconv.ParseInt(name, 10, 64); err == nil {
		return validate.Client{}, &TextError{"name", "is a number, as clients have one"}
	}
	groups, err := checkGroups(r.Groups)
	if err != nil {
		return validate.Client{}, err
	}
	key, err := secret.Random(d.Rand, clientKeyLen)
	if err != nil {
		return validate.Client{}, err
	}
	c := validate.Client{Name: name, Keys: []secret.Bytes{key}, Active: true, MustSig: r.MustSig, Decrypt: r.Decrypt, Networks: r.Networks, Groups: groups}
	if c.ID, err = d.Store.AddClient(ctx, c); err != nil {
		key.Destroy()
		return validate.Client{}, err
	}
	return c, nil
}

// Clients lists the relying servers, without keys.
func (d *Desk) Clients(ctx context.Context) ([]validate.Client, error) {
	return d.Store.ListClients(ctx)
}

// Client finds a relying server by its name or number, without keys; token.ErrNotFound. A name goes before a number.
func (d *Desk) Client(ctx context.Context, query string) (validate.Client, error) {
	list, err := d.Store.ListClients(ctx)
	if err != nil {
		return validate.Client{}, err
	}
	if i := slices.IndexFunc(list, func(c validate.Client) bool { return c.Name == query }); i >= 0 {
		return list[i], nil
	}
	if i := slices.IndexFunc(list, func(c validate.Client) bool { return strconv.FormatInt(c.ID, 10) == query }); i >= 0 {
		return list[i], nil
	}
	return validate.Client{}, token.ErrNotFound
}

// SetClient changes the rights of a client and returns it as it is then.
func (d *Desk) SetClient(ctx context.Context, query string, change ClientChange) (validate.Client, error) {
	if change.Groups != nil {
		groups, err := checkGroups(*change.Groups)
		if err != nil {
			return validate.Client{}, err
		}
		change.Groups = &groups
	}
	c, err := d.Client(ctx, query)
	if err != nil {
		return c, err
	}
	if err := d.Store.SetClient(ctx, c.ID, change); err != nil {
		return c, err
	}
	return d.Client(ctx, c.Name)
}

// RotateClient gives a client a new key, which is in the answer; the caller shows it once and destroys it. The former is valid for
// keep more; with 0, for a key that got into wrong hands, no other stays valid. ErrRotating if two are valid already and keep
// is not 0.
func (d *Desk) RotateClient(ctx context.Context, query string, keep time.Duration) (validate.Client, error) {
	if keep < 0 {
		return validate.Client{}, &TextError{"keep", "is below 0"}
	}
	c, err := d.Client(ctx, query)
	if err != nil {
		return c, err
	}
	key, err := secret.Random(d.Rand, clientKeyLen)
	if err != nil {
		return c, err
	}
	if c.Until, err = d.Store.RotateClient(ctx, c.ID, key, keep); err != nil {
		key.Destroy()
		return c, err
	}
	c.Keys = []secret.Bytes{key}
	return c, nil
}

// RevokeClient ends a client: every later request is refused, in every process.
func (d *Desk) RevokeClient(ctx context.Context, query string) (validate.Client, error) {
	c, err := d.Client(ctx, query)
	if err != nil {
		return c, err
	}
	return c, d.Store.RevokeClient(ctx, c.ID)
}
