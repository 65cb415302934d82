package caller

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Local is the word for peers on a Unix socket, which have no address: in a list of trusted proxies, and as a source.
const Local = "unix"

// Proxies are the peers that are believed about who sent a request. X-Forwarded-For and X-Forwarded-Proto are read from them alone, and
// here alone; Forwarded (RFC 7239) is not read. Source of the rule: reference validation-protocol.md §16. The zero value believes nobody.
type Proxies struct {
	networks []netip.Prefix
	local    bool
	// Unknown is told of a peer that is not in the list and forwards all the same; nil: nobody is.
	Unknown func(peer string)
}

// ParseProxies reads addresses and networks, and Local for the peers on a Unix socket.
func ParseProxies(list []string) (*Proxies, error) {
	p := &Proxies{}
	for _, text := range list {
		if text == Local {
			p.local = true
			continue
		}
		network, err := netip.ParsePrefix(text)
		if addr, wrong := netip.ParseAddr(text); wrong == nil && addr.Zone() == "" {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no address, no network such as 192.0.2.0/24, and not %q", text, Local)
		}
		p.networks = append(p.networks, unmapped(network))
	}
	return p, nil
}

// unmapped is the IPv4 network of an IPv4-mapped one: ::ffff:0:0/96 has the 96 bits before it.
func unmapped(n netip.Prefix) netip.Prefix {
	if n.Addr().Is4In6() && n.Bits() >= 96 {
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return n.Masked()
}

// Trusts reports whether a source, as Source gives it, is believed.
func (p *Proxies) Trusts(source string) bool {
	if source == Local {
		return p.local
	}
	ip, err := netip.ParseAddr(source)
	return err == nil && p.trusts(ip)
}

func (p *Proxies) trusts(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("") // a prefix never contains an address with a zone
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// Handler lets next see who really sent a request that came through trusted proxies: in RemoteAddr, with port 0, and by OverTLS.
func (p *Proxies) Handler(next http.Handler) http.Handler {
	nobody := len(p.networks) == 0 && !p.local
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarded := r.Header.Values("X-Forwarded-For")
		if nobody && len(forwarded) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		switch peer := Source(r.RemoteAddr); {
		case p.Trusts(peer):
			tls := strings.EqualFold(first(r.Header.Get("X-Forwarded-Proto")), "https")
			r = r.WithContext(context.WithValue(r.Context(), overTLS{}, tls))
			r.RemoteAddr = net.JoinHostPort(p.origin(peer, forwarded), "0")
		case len(forwarded) > 0 && p.Unknown != nil:
			p.Unknown(peer)
		}
		next.ServeHTTP(w, r)
	})
}

// origin is the rightmost address that is no trusted proxy's, each of which added the one that it was asked by. What stands further left
// was sent by that one, and may be a lie. Where a proxy added something else, the proxy is all that is known.
func (p *Proxies) origin(peer string, forwarded []string) string {
	var hops []string
	for _, line := range forwarded {
		hops = append(hops, strings.Split(line, ",")...)
	}
	for _, hop := range slices.Backward(hops) {
		ip, ok := hopAddr(strings.TrimSpace(hop))
		if !ok {
			return peer
		}
		if peer = ip.Unmap().String(); !p.trusts(ip) {
			return peer
		}
	}
	return peer
}

// hopAddr reads an address, with or without a port, IPv6 with or without brackets.
func hopAddr(hop string) (netip.Addr, bool) {
	if with, err := netip.ParseAddrPort(hop); err == nil {
		return with.Addr(), true
	}
	if inner, ok := strings.CutPrefix(hop, "["); ok && strings.HasSuffix(inner, "]") {
		hop = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(hop)
	return ip, err == nil
}

// first is the first of several values: that of the proxy which the sender spoke to.
func first(list string) string {
	value, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(value)
}

// overTLS is the key of what a trusted proxy said.
type overTLS struct{}

// OverTLS reports whether the sender spoke TLS: with this server, or with the trusted proxy that forwards the request.
func OverTLS(r *http.Request) bool {
	said, _ := r.Context().Value(overTLS{}).(bool)
	return r.TLS != nil || said
}
