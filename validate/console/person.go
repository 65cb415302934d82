package console

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// personPage is a person with what the person holds.
type personPage struct {
	page
	Person   token.Person
	Tokens   []heldRow
	Browsers []desk.Browser
	Temps    []tempRow
	Recovery int // codes that are left
}

// heldRow is a token of the person.
type heldRow struct {
	Token     token.Token
	Used      time.Time
	Blockable bool
}

// tempRow is a temporary code that is valid now.
type tempRow struct {
	UsesLeft int
	Expires  time.Time
	Client   string
}

// showPerson is the page of a person.
func (v *visit) showPerson() error {
	account := v.r.PathValue("account")
	who, tokens, err := v.Desk.Person(v.ctx, account)
	if err != nil {
		return err
	}
	p := personPage{page: v.page(account), Person: who}
	for _, t := range tokens {
		_, list, err := v.Desk.Show(v.ctx, desk.ByID(t.ID))
		if err != nil && !errors.Is(err, token.ErrNotFound) {
			return err
		}
		p.Tokens = append(p.Tokens, heldRow{t, lastUse(list), blockable(t)})
	}
	browsers, err := v.Desk.Browsers(v.ctx, account)
	if err != nil {
		return err
	}
	for _, b := range browsers {
		if b.Live(v.start) {
			p.Browsers = append(p.Browsers, b)
		}
	}
	if err := v.addCodes(&p, account); err != nil {
		return err
	}
	v.render(http.StatusOK, "person", p)
	return nil
}

// addCodes says which codes stand in for a token.
func (v *visit) addCodes(p *personPage, account string) error {
	codes, err := v.Desk.Codes(v.ctx, account)
	if err != nil {
		return err
	}
	for _, c := range codes {
		switch {
		case !c.Live(v.start):
		case c.Kind == desk.RecoveryCodes:
			p.Recovery++
		default:
			name, err := v.clientName(c.Client)
			if err != nil {
				return err
			}
			p.Temps = append(p.Temps, tempRow{c.UsesLeft, c.Expires, name})
		}
	}
	return nil
}

// clientName is what a relying server is called; "" for 0.
func (v *visit) clientName(id int64) (string, error) {
	if id == 0 {
		return "", nil
	}
	list, err := v.Desk.Clients(v.ctx)
	if err != nil {
		return "", err
	}
	for _, c := range list {
		if c.ID == id {
			return c.Name, nil
		}
	}
	return fmt.Sprintf("client %d", id), nil
}

// revokeBrowser ends the trust in a browser.
func (v *visit) revokeBrowser() error {
	account := v.r.PathValue("account")
	if err := v.Desk.RevokeBrowser(v.ctx, account, v.number("browser")); err != nil {
		return err
	}
	v.goTo(personPath(account) + "?said=browser")
	return nil
}
