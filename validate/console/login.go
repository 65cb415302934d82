package console

import (
	"errors"
	"net/http"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// showLogin is the only page of the console for somebody who is not logged in.
func (v *visit) showLogin() error {
	v.loginPage(http.StatusOK, "")
	return nil
}

func (v *visit) loginPage(status int, problem string) {
	p := v.page("Log in")
	p.Narrow, p.Problem = true, problem
	v.render(status, "login", p)
}

// logIn exchanges an API token for a session. Whatever is wrong with the token, the answer is the same.
func (v *visit) logIn() error {
	s, _, err := v.Desk.LogIn(v.ctx, strings.TrimSpace(v.r.PostForm.Get("token")))
	if errors.Is(err, token.ErrNotFound) {
		if v.logins.tooMany(v.source, v.start) {
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
	setCookie(v.w, v.r, string(s.Value.Reveal()))
	v.goTo("/console/")
	return nil
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
