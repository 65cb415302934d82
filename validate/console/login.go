package console

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// loginPage asks for an API token, and holds what is to be shown afterwards.
type loginPage struct {
	page
	To   string // an address of ours; "": the search
	Kept []keptField
}

// keptField is text of a form that came without a session.
type keptField struct{ Name, Value string }

// keptNames are the fields that are shown again after log-in: all that the forms have, but what is a code.
var keptNames = []string{"q", "who", "reason", "note", "until", "valid", "uses", "client"}

// showLogin is the only page of the console for somebody who is not logged in.
func (v *visit) showLogin() error {
	v.loginPage(http.StatusOK, "")
	return nil
}

func (v *visit) loginPage(status int, problem string) {
	p := loginPage{page: v.page("Log in"), To: v.wayBack(), Kept: v.kept()}
	p.Narrow, p.Problem = true, problem
	v.render(status, "login", p)
}

// wayBack is the address that the visitor was at before the log-in; "" for none of ours.
func (v *visit) wayBack() string {
	to := v.r.PostForm.Get("to")
	if to == "" {
		to = v.r.URL.Query().Get("to")
	}
	u, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, "/console/") || path.Clean(u.Path) != u.Path {
		return ""
	}
	return to
}

// kept are the fields of the form that may be shown again. What was searched for may be a code, by its form.
func (v *visit) kept() (out []keptField) {
	for _, name := range keptNames {
		text := v.r.PostForm.Get(name)
		if text != "" && (name != "q" && name != "who" || !secretLike(strings.TrimSpace(text))) {
			out = append(out, keptField{name, text})
		}
	}
	return out
}

// askLogIn asks somebody who has no session, or not any more. What was read comes back after the log-in; of what was sent, the
// form, as it was filled in: it was not done, and that is said.
func (v *visit) askLogIn(rt route) {
	form, sent := strings.CutPrefix(rt.pattern, "POST ")
	if !sent {
		to := ""
		if at := v.r.URL.EscapedPath(); strings.HasPrefix(rt.pattern, "GET ") && at != "/console/" {
			to = "?" + url.Values{"to": {at}}.Encode()
		}
		v.goTo("/console/login" + to)
		return
	}
	v.r.PostForm.Del("to")
	if slices.ContainsFunc(routes(), func(r route) bool { return r.pattern == "GET "+form }) {
		v.r.PostForm.Set("to", v.r.URL.EscapedPath())
	}
	v.loginPage(http.StatusUnauthorized, "You were logged out meanwhile: nothing was done. Log in to go on.")
}

// logIn exchanges an API token for a session. Whatever is wrong with the token, the answer is the same.
func (v *visit) logIn() error {
	s, _, err := v.Desk.LogIn(v.ctx, strings.TrimSpace(v.r.PostForm.Get("token")))
	if errors.Is(err, token.ErrNotFound) {
		if v.logins.TooMany(v.source, v.start) {
			v.loginPage(http.StatusTooManyRequests, "Too many tries from your address. Please wait a minute.")
			return nil
		}
		v.loginPage(http.StatusUnauthorized, "This is not an API token that is valid here.")
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Value.Destroy()
	value, to := string(s.Value.Reveal()), v.wayBack()
	setCookie(v.w, v.r, value)
	switch {
	case to == "":
		v.goTo("/console/")
	case len(v.kept()) == 0:
		v.goTo(to)
	default:
		v.showAgain(to, value)
	}
	return nil
}

// showAgain answers with a form as it was filled in: as a GET of it would, which finds the fields in PostForm.
func (v *visit) showAgain(to, session string) {
	r := v.r.Clone(v.ctx)
	r.PostForm.Del("token")
	r.Method = http.MethodGet
	r.URL, _ = url.Parse(to) // wayBack knows that it can be
	r.Header.Set("Cookie", cookieName(r)+"="+session)
	v.status = http.StatusOK
	v.mux.ServeHTTP(v.w, r)
}

// logOut ends the session here and in the browser.
func (v *visit) logOut() error {
	if err := v.Desk.LogOut(v.ctx, v.cookie); err != nil {
		return err
	}
	setCookie(v.w, v.r, "")
	v.goTo("/console/login?said=out")
	return nil
}

// nothingHere answers every other address.
func (v *visit) nothingHere() error { return errNothing }
