package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// mostHits is how many lines a search shows.
const mostHits = 25

// searchPage is the search and what it found.
type searchPage struct {
	page
	Searched bool
	Rows     []hitRow
	More     bool
}

// hitRow is one line of it.
type hitRow struct {
	desk.Hit
	Used time.Time
}

// home is the page after log-in.
func (v *visit) home() error {
	p := searchPage{page: v.page("Search")}
	p.Home = true
	v.render(http.StatusOK, "search", p)
	return nil
}

// search answers what was typed: a support code by its page, one hit by its page, several by a list. Text that could be a one-time
// password or a code never becomes an address; for any other the list has one, so that the way back to it works.
func (v *visit) search() error {
	q := strings.TrimSpace(v.r.PostForm.Get("q"))
	if q == "" {
		v.goTo("/console/")
		return nil
	}
	if v.operator.May(v.rights["support"]) {
		if done, err := v.trySupport(q); done || err != nil {
			return err
		}
	}
	return v.find(q, true)
}

// searchAgain is the list at its address.
func (v *visit) searchAgain() error {
	q := strings.TrimSpace(cmp.Or(v.r.PostForm.Get("q"), v.r.URL.Query().Get("q"))) // typed before a log-in, or in the address
	switch {
	case q == "":
		v.goTo("/console/")
		return nil
	case secretLike(q):
		return errAddress
	}
	return v.find(q, false)
}

// find lists hits. redirect leads to the page of a single one, and to the address of the list.
func (v *visit) find(q string, redirect bool) error {
	p := searchPage{page: v.page("Search"), Searched: true}
	hidden := secretLike(q)
	if !hidden {
		p.Query = q
	}
	hits, err := v.Desk.Search(v.ctx, q, mostHits+1)
	var text *desk.TextError
	if errors.As(err, &text) {
		p.Problem, err = "The text "+text.Cause+".", nil
	}
	switch {
	case err != nil:
		return err
	case redirect && len(hits) == 1:
		v.goTo(hitPath(hits[0]))
		return nil
	case redirect && !hidden && len(hits) > 0:
		v.goTo("/console/search?" + url.Values{"q": {q}}.Encode())
		return nil
	}
	if p.More = len(hits) > mostHits; p.More {
		hits = hits[:mostHits]
	}
	for _, h := range hits {
		row := hitRow{Hit: h}
		if h.Token != nil {
			_, list, err := v.Desk.Show(v.ctx, desk.ByID(h.Token.ID))
			if err != nil && !errors.Is(err, token.ErrNotFound) {
				return err
			}
			row.Used = lastUse(list)
		}
		p.Rows = append(p.Rows, row)
	}
	v.render(http.StatusOK, "search", p)
	return nil
}

// hitPath is where a hit leads.
func hitPath(h desk.Hit) string {
	switch {
	case h.Token != nil:
		return tokenPath(h.Token.ID)
	case h.Person != nil:
		return personPath(h.Person.Account)
	}
	return "/console/"
}

// otpChars is the least length of a Yubico OTP, in characters. Source: reference yubikey-otp.md §1.
const otpChars = 32

// secretLike reports whether text could be a one-time password, a code, or the beginning of one: then it is in no address, where
// histories and logs keep it. Some names look like one; they lose no more than the address of their list.
func secretLike(q string) bool {
	spoken, ok := token.NormaliseSpoken(q)
	switch len(spoken) {
	case token.PINLen, token.SupportLen, token.CodeLen:
		if ok {
			return true
		}
	}
	return len(q) >= otpChars || len(q) >= 6 && strings.Trim(q, "0123456789 ") == ""
}

// support finds the refusal behind a support code.
func (v *visit) support() error {
	done, err := v.trySupport(v.r.PostForm.Get("code"))
	if err == nil && !done {
		err = token.ErrNotFound
	}
	return err
}

// supportPage is why a code was refused.
type supportPage struct {
	page
	Attempt    diagnose.Attempt
	ClientName string
	TokenName  string
}

// trySupport shows the page of a support code; false if text is none that is known.
func (v *visit) trySupport(text string) (bool, error) {
	code, ok := token.NormaliseSpoken(text)
	if !ok || len(code) != token.SupportLen {
		return false, nil
	}
	a, err := v.Doctor.Attempt(v.ctx, code)
	if errors.Is(err, token.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p := supportPage{page: v.page("Support code"), Attempt: a}
	if p.ClientName, err = v.clientName(a.Client); err != nil {
		return false, err
	}
	if a.Token != 0 {
		t, _, err := v.Desk.Show(v.ctx, desk.ByID(a.Token))
		if err != nil && !errors.Is(err, token.ErrNotFound) {
			return false, err
		}
		p.TokenName = tokenName(t)
	}
	v.render(http.StatusOK, "support", p)
	return true, nil
}
