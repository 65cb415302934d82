package api

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// audience is whom an address is for.
type audience int

const (
	anybody audience = iota // only refusals
	relying                 // servers that have codes checked
	staff                   // operators
)

// challenge says how the audience proves itself.
func (a audience) challenge() string {
	if a == relying {
		return `Basic realm="tokendesk"`
	}
	return `Bearer realm="tokendesk"`
}

// Clients finds relying servers.
type Clients interface {
	validate.Clients
	// ListClients are all, by number, without keys.
	ListClients(ctx context.Context) ([]validate.Client, error)
}

// knowClient finds the relying server of a request: by HTTP Basic, its number and one of its keys as `client add` shows it; or
// without credentials by the network that it asks from, if it need not sign. A wrong key is never made up for by a network.
func (c *call) knowClient() error {
	if c.r.Header.Get("Authorization") == "" {
		return c.knowNetwork()
	}
	name, text, ok := c.r.BasicAuth()
	id, err := strconv.ParseInt(name, 10, 64)
	if !ok || err != nil || id <= 0 {
		return errUnknown
	}
	client, err := c.Clients.Client(c.ctx, id)
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		return err
	}
	if !keyed(client, text) || !client.Active || !client.AllowsSource(c.source) {
		return errUnknown
	}
	c.client, c.proven = client, true
	return nil
}

// keyed compares the text, standard base64, with every valid key, in a time that tells neither whether the first or the second
// fits nor where it differs. That a number has no client is no secret.
func keyed(client validate.Client, text string) bool {
	given, err := base64.StdEncoding.DecodeString(text)
	found := false
	for _, k := range client.Keys {
		found = hmac.Equal(given, k.Reveal()) || found
	}
	return found && err == nil && len(given) > 0
}

// knowNetwork finds the client by the source address: the one with the narrowest network that holds it. None if that is not one
// client alone, nor for what a page has a browser in that network send, as a form of any site may.
func (c *call) knowNetwork() error {
	if c.r.Header.Get("Origin") != "" || c.r.Header.Get("Sec-Fetch-Site") != "" {
		return errUnknown
	}
	list, err := c.Clients.ListClients(c.ctx)
	if err != nil {
		return err
	}
	best, same := -1, false
	for _, client := range list {
		if !client.Active || client.MustSig {
			continue
		}
		switch bits := narrowest(client.Networks, c.source); {
		case bits > best:
			c.client, best, same = client, bits, false
		case bits >= 0 && bits == best:
			same = true
		}
	}
	if best < 0 || same {
		c.client = validate.Client{}
		return errUnknown
	}
	return nil
}

// narrowest is the length of the longest prefix that holds the address, in bits of IPv6; -1 if none does.
func narrowest(networks []netip.Prefix, source string) int {
	ip, err := netip.ParseAddr(source)
	if err != nil {
		return -1
	}
	ip = ip.WithZone("") // a prefix never contains an address with a zone
	best := -1
	for _, p := range networks {
		if p.Contains(ip) {
			best = max(best, p.Bits()+128-p.Addr().BitLen())
		}
	}
	return best
}

// knowOperator finds the operator of a request by the API token, and asks for the right. Who acts is in the context from then on.
func (c *call) knowOperator(right desk.Right) error {
	kind, text, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") || text == "" {
		return errNoToken
	}
	o, err := c.Desk.Authenticate(c.ctx, text)
	switch {
	case errors.Is(err, token.ErrNotFound):
		if c.wrong.TooMany(c.source, c.start) {
			return errWrongTokens
		}
		return errNoToken
	case err != nil:
		return err
	case !o.Active:
		return errNoToken
	}
	c.operator = o
	if !o.May(right) {
		return errNoRight
	}
	c.ctx = token.WithActor(c.ctx, o.Actor())
	return nil
}
