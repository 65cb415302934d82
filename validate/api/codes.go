package api

import (
	"math"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

type tempRequest struct {
	Person string `json:"person"` // account
	Valid  int64  `json:"valid_seconds"`
	Uses   int    `json:"uses"`
	Client int64  `json:"client"` // the only one that takes it; 0: any
	Note   string `json:"note"`
}

// tempAnswer hands a code over: a temporary code is shown once.
type tempAnswer struct {
	Code    string    `json:"code"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
}

func (c *call) tempCode() (any, error) {
	q, err := read[tempRequest](c)
	if err != nil {
		return nil, err
	}
	value, code, err := c.Desk.TempCode(c.ctx, q.Person, desk.TempCode{Valid: seconds(q.Valid), Uses: q.Uses, Client: q.Client, Note: q.Note})
	if err != nil {
		return nil, err
	}
	defer value.Destroy()
	return tempAnswer{token.ShowSpoken(string(value.Reveal())), code.UsesLeft, code.Expires}, nil
}

// seconds is n of them; what does not fit is as much as fits, which no verb takes.
func seconds(n int64) time.Duration {
	return time.Duration(max(math.MinInt64/int64(time.Second), min(n, math.MaxInt64/int64(time.Second)))) * time.Second
}

type recoveryRequest struct {
	Person string `json:"person"`
	Count  int    `json:"count"` // 0: the usual sheet
}

// recoveryAnswer hands a sheet of codes over, once.
type recoveryAnswer struct {
	Codes []string `json:"codes"`
}

func (c *call) recoveryCodes() (any, error) {
	q, err := read[recoveryRequest](c)
	if err != nil {
		return nil, err
	}
	values, err := c.Desk.RecoveryCodes(c.ctx, q.Person, q.Count)
	if err != nil {
		return nil, err
	}
	a := recoveryAnswer{make([]string, len(values))}
	for i, v := range values {
		a.Codes[i] = token.ShowSpoken(string(v.Reveal()))
		v.Destroy()
	}
	return a, nil
}

type activationRequest struct {
	Person string     `json:"person"`
	Type   token.Kind `json:"type"` // "totp" or "hotp"; "": totp
	Issuer string     `json:"issuer"`
	Digits int        `json:"digits"`
	Hash   string     `json:"hash"`
	Period int64      `json:"period_seconds"`
	Valid  int64      `json:"valid_seconds"`
}

// activationAnswer hands a link over, once: the person opens /enroll/LINK at this server and types the PIN, which goes another way.
type activationAnswer struct {
	ID      int64     `json:"id"`
	Link    string    `json:"link"`
	PIN     string    `json:"pin"`
	Expires time.Time `json:"expires"`
}

func (c *call) activation() (any, error) {
	q, err := read[activationRequest](c)
	if err != nil {
		return nil, err
	}
	app := desk.App{Kind: q.Type, Issuer: q.Issuer, Digits: q.Digits, Hash: q.Hash, Period: seconds(q.Period)}
	l, err := c.Desk.Enroll(c.ctx, q.Person, app, seconds(q.Valid))
	if err != nil {
		return nil, err
	}
	defer l.Value.Destroy()
	defer l.PIN.Destroy()
	return activationAnswer{l.ID, string(l.Value.Reveal()), token.ShowSpoken(string(l.PIN.Reveal())), l.Expires}, nil
}

type browsersAnswer struct {
	Browsers []browserView `json:"browsers"`
}

// browsers lists the trusted ones of ?person=.
func (c *call) browsers() (any, error) {
	q, err := c.query("person")
	if err != nil {
		return nil, err
	}
	list, err := c.liveBrowsers(q.Get("person"))
	return browsersAnswer{list}, err
}

func (c *call) liveBrowsers(account string) ([]browserView, error) {
	list, err := c.Desk.Browsers(c.ctx, account)
	out := []browserView{}
	for _, b := range list {
		if b.Live(c.start) {
			out = append(out, viewBrowser(b))
		}
	}
	return out, err
}

type revokedAnswer struct {
	Revoked int `json:"revoked"`
}

// revokeBrowsers ends the trust in the one of ?person= and &id=, or without id in all.
func (c *call) revokeBrowsers() (any, error) {
	q, err := c.query("person", "id")
	if err != nil {
		return nil, err
	}
	if !q.Has("id") {
		n, err := c.Desk.RevokeBrowsers(c.ctx, q.Get("person"))
		return revokedAnswer{n}, err
	}
	id, err := strconv.ParseInt(q.Get("id"), 10, 64)
	if err != nil {
		return nil, errNotFound
	}
	return revokedAnswer{1}, c.Desk.RevokeBrowser(c.ctx, q.Get("person"), id)
}

type clientsAnswer struct {
	Clients []clientView `json:"clients"`
}

func (c *call) clients() (any, error) {
	list, err := c.Clients.ListClients(c.ctx)
	return clientsAnswer{each(list, viewClient)}, err
}

type operatorsAnswer struct {
	Operators []operatorView `json:"operators"`
}

func (c *call) operators() (any, error) {
	list, err := c.Desk.Operators(c.ctx)
	return operatorsAnswer{each(list, viewOperator)}, err
}
