package console

import (
	"net/http"

	"github.com/tokendesk/tokendesk/validate/caller"
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

// cookieName is the name of the session's cookie. The prefix __Host-, which keeps neighbours under the same domain from setting one,
// demands Path=/, which would send the cookie to everything else that a proxy serves under this name; so it is __Secure- and
// Path=/console. A session that a neighbour sets is at worst the neighbour's own.
func cookieName(r *http.Request) string {
	if caller.OverTLS(r) {
		return "__Secure-tokendesk"
	}
	return "tokendesk"
}

// setCookie gives the browser a session, or takes it away with "". It ends with the browser; how long it may live is for the store.
func setCookie(w http.ResponseWriter, r *http.Request, value string) {
	c := &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/console", HttpOnly: true, Secure: caller.OverTLS(r), SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
