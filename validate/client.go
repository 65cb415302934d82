package validate

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Client is a relying server.
type Client struct {
	ID   int64
	Name string
	// Keys are the HMAC-SHA-1 keys of its signatures that are valid now, newest first: one, or two while it changes from one to the
	// other; none when it is not active. 20 bytes each when made here.
	Keys     []secret.Bytes
	Until    time.Time // when the older of two keys ends; zero: there is one
	Active   bool
	MustSig  bool           // unsigned requests are refused
	Decrypt  bool           // it may ask what an OTP says: package wsapi, KSM
	Networks []netip.Prefix // where it may ask from; none: anywhere. IPv4 as IPv4
	Note     string         // for staff: what it brought along when it was taken over
	Groups   []string       // it may ask about persons in one of them; none: about everybody, and tokens that nobody holds
}

// Clients finds relying servers.
type Clients interface {
	// Client returns the client of that number, active or not; token.ErrNotFound if there is none. It is read anew each time, so
	// that a change counts at once in every process. The keys belong to the store, as in Credential.
	Client(ctx context.Context, id int64) (Client, error)
}

// AllowsSource reports whether the client may ask from an address, as text without a port. An IPv4-mapped IPv6 address is the IPv4
// one. Source: reference validation-protocol.md §16.
func (c Client) AllowsSource(source string) bool {
	if len(c.Networks) == 0 {
		return true
	}
	ip, err := netip.ParseAddr(source)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("") // a prefix never contains an address with a zone
	return slices.ContainsFunc(c.Networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// AllowsGroups reports whether the client may ask about somebody who is in these groups.
func (c Client) AllowsGroups(groups []string) bool { return allowsGroups(c.Groups, groups) }

func allowsGroups(allowed, groups []string) bool {
	return len(allowed) == 0 || slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(allowed, g) })
}
