package caller

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestProxies: who is believed about whom. What stands left of the first address that nobody vouches for never counts.
func TestProxies(t *testing.T) {
	t.Parallel()
	p, err := ParseProxies([]string{"192.0.2.1", "10.0.0.0/8", "2001:db8:1::/48", "::ffff:198.51.100.0/120", Local})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, remote string
		forwarded    []string // lines of X-Forwarded-For
		want         string
	}{
		{"direct", "203.0.113.5:9", nil, "203.0.113.5"},
		{"direct, with a lie", "203.0.113.5:9", []string{"127.0.0.1"}, "203.0.113.5"},
		{"direct, with a lie about a proxy", "203.0.113.5:9", []string{"127.0.0.1, 192.0.2.1"}, "203.0.113.5"},
		{"one proxy", "192.0.2.1:9", []string{"203.0.113.5"}, "203.0.113.5"},
		{"one proxy, and a lie before it", "192.0.2.1:9", []string{"127.0.0.1, 203.0.113.5"}, "203.0.113.5"},
		{"a lie that looks like a proxy", "192.0.2.1:9", []string{"127.0.0.1, 192.0.2.1, 203.0.113.5"}, "203.0.113.5"},
		{"a lie in a line of its own", "192.0.2.1:9", []string{"127.0.0.1", "203.0.113.5"}, "203.0.113.5"},
		{"two proxies", "192.0.2.1:9", []string{"203.0.113.5, 10.1.2.3"}, "203.0.113.5"},
		{"two proxies, two lines", "192.0.2.1:9", []string{"203.0.113.5", "10.1.2.3"}, "203.0.113.5"},
		{"no blanks", "192.0.2.1:9", []string{"127.0.0.1,203.0.113.5,10.1.2.3"}, "203.0.113.5"},
		{"a proxy asks itself", "192.0.2.1:9", nil, "192.0.2.1"},
		{"only proxies", "192.0.2.1:9", []string{"10.1.2.3, 10.1.2.4"}, "10.1.2.3"},
		{"an IPv4-mapped proxy", "[::ffff:192.0.2.1]:9", []string{"203.0.113.5"}, "203.0.113.5"},
		{"an IPv4-mapped network", "198.51.100.7:9", []string{"203.0.113.5"}, "203.0.113.5"},
		{"an IPv4-mapped sender", "192.0.2.1:9", []string{"::ffff:203.0.113.5"}, "203.0.113.5"},
		{"an IPv4-mapped hop", "192.0.2.1:9", []string{"203.0.113.5, ::ffff:10.1.2.3"}, "203.0.113.5"},
		{"IPv6", "[2001:db8:1::1]:9", []string{"2001:db8:2::5"}, "2001:db8:2::5"},
		{"a link-local sender", "192.0.2.1:9", []string{"fe80::1%eth0"}, "fe80::1%eth0"},
		{"with a port", "192.0.2.1:9", []string{"203.0.113.5:4711"}, "203.0.113.5"},
		{"IPv6 in brackets", "192.0.2.1:9", []string{"[2001:db8:2::5]"}, "2001:db8:2::5"},
		{"IPv6 with a port", "192.0.2.1:9", []string{"[2001:db8:2::5]:80"}, "2001:db8:2::5"},
		{"no address", "192.0.2.1:9", []string{"unknown"}, "192.0.2.1"},
		{"no address of a hop", "192.0.2.1:9", []string{"203.0.113.5, unknown, 10.1.2.3"}, "10.1.2.3"},
		{"empty", "192.0.2.1:9", []string{""}, "192.0.2.1"},
		{"a comma too many", "192.0.2.1:9", []string{"203.0.113.5,"}, "192.0.2.1"},
		{"a Unix socket", "@", []string{"203.0.113.5"}, "203.0.113.5"},
		{"a Unix socket, directly", "@", nil, Local},
	} {
		for _, proto := range []string{"https", "http", "", "HTTPS, http", "http, https"} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = tc.remote, tc.forwarded
			r.Header.Set("X-Forwarded-Proto", proto)
			r.Header.Set("Forwarded", "for=127.0.0.1;proto=https")
			r.Header.Set("X-Real-Ip", "127.0.0.1")
			tls := p.Trusts(Source(tc.remote)) && strings.HasPrefix(strings.ToLower(proto), "https")
			seen := false
			p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				seen = true
				if got := Source(r.RemoteAddr); got != tc.want || OverTLS(r) != tls {
					t.Errorf("%s: %s, %q: %s, TLS %v; want %s, TLS %v", tc.name, tc.remote, proto, got, OverTLS(r), tc.want, tls)
				}
			})).ServeHTTP(nil, r)
			if !seen {
				t.Errorf("%s: nobody answers", tc.name)
			}
		}
	}
}

// TestNoProxies: nobody is believed by default, and one that forwards all the same is told of.
func TestNoProxies(t *testing.T) {
	t.Parallel()
	told := ""
	p := &Proxies{Unknown: func(peer string) { told = peer }}
	for _, remote := range []string{"127.0.0.1:1", "[::1]:1", "@", "10.0.0.1:1"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "203.0.113.5")
		r.Header.Set("X-Forwarded-Proto", "https")
		p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.RemoteAddr != remote || OverTLS(r) || told != Source(remote) {
				t.Errorf("%s: %s, TLS %v, told %q", remote, r.RemoteAddr, OverTLS(r), told)
			}
		})).ServeHTTP(nil, r)
	}
	if !OverTLS(&http.Request{TLS: &tls.ConnectionState{}}) {
		t.Error("TLS with us is none")
	}
}

func TestParseProxies(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "proxy.example", "10.0.0.0/33", "10.0.0.1:80", "fe80::1%eth0", "*", "all"} {
		if p, err := ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q: %v", bad, p)
		}
	}
}

// FuzzOrigin: whatever is forwarded, the source is an address: the peer's, or one of those that were named; and what an untrusted
// sender writes before a trusted proxy's own entry changes nothing.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"", "203.0.113.5", "10.0.0.1, 10.0.0.2", "unknown", "[::1]:80", ",,,", "10.0.0.1,\x00", "::ffff:10.0.0.1"} {
		f.Add(s)
	}
	p, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, lie string) {
		got := p.origin("10.0.0.1", []string{lie})
		if _, err := netip.ParseAddr(got); err != nil {
			t.Errorf("%q: %q", lie, got)
		}
		if got := p.origin("10.0.0.1", []string{lie, "203.0.113.5", "10.9.9.9"}); got != "203.0.113.5" {
			t.Errorf("%q before it: %s", lie, got)
		}
	})
}
