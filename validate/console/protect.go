package console

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// policy lets a page load its style and its icon from here, and nothing else from anywhere; no script runs, whatever got into a page.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// protect sets what every answer has. The referrer stays within the server: "no-referrer" would make browsers send "Origin: null"
// with our own forms. The public pages, whose address is a secret, set that nevertheless; they need no origin.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// overTLS reports whether the browser spoke TLS, with us or with a proxy that says so. Nothing is gained by a lie about it: it
// only makes the cookie stricter.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

// cookieName is the name of the session's cookie. The prefix __Host-, which keeps neighbours under the same domain from setting one,
// demands Path=/, which would send the cookie to everything else that a proxy serves under this name; so it is __Secure- and
// Path=/console. A session that a neighbour sets is at worst the neighbour's own.
func cookieName(r *http.Request) string {
	if overTLS(r) {
		return "__Secure-tokendesk"
	}
	return "tokendesk"
}

// setCookie gives the browser a session, or takes it away with "". It ends with the browser; how long it may live is for the store.
func setCookie(w http.ResponseWriter, r *http.Request, value string) {
	c := &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/console", HttpOnly: true, Secure: overTLS(r), SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// How many wrong API tokens an address may send before it is told to wait. They have 256 bits, so this is not what keeps them from
// being guessed, and a right one is let in whatever others sent from the address, which may be a proxy's.
const (
	loginsPerMinute = 10
	maxSources      = 10_000
)

// throttle counts wrong log-ins by address within a minute. The zero value is ready; it is safe for concurrent use.
type throttle struct {
	mu     sync.Mutex
	minute time.Time
	count  map[string]int
}

// tooMany counts one more, and reports whether that is too many.
func (t *throttle) tooMany(source string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := now.Truncate(time.Minute); !m.Equal(t.minute) || t.count == nil {
		t.minute, t.count = m, map[string]int{}
	}
	if _, known := t.count[source]; !known && len(t.count) >= maxSources {
		source = "" // all the others share one
	}
	t.count[source]++
	return t.count[source] > loginsPerMinute
}

// source is the caller's address without port; of IPv6 the /64.
func source(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
