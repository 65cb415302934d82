package api

import (
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// The forms of what is answered. They are types of their own, so that no secret can come along.

type personView struct {
	Account string   `json:"account"`
	Name    string   `json:"name,omitempty"`
	Mail    string   `json:"mail,omitempty"`
	Groups  []string `json:"groups,omitempty"`
}

type tokenView struct {
	ID          token.ID     `json:"id"`
	Serial      token.Serial `json:"serial,omitempty"`
	Label       string       `json:"label,omitempty"`
	StockNumber string       `json:"stock_number,omitempty"`
	Model       token.Model  `json:"model"`
	Firmware    string       `json:"firmware,omitempty"`
	Name        string       `json:"name,omitempty"`
	State       token.State  `json:"state"`
	Holder      string       `json:"holder,omitempty"` // account
	IssuedAt    time.Time    `json:"issued_at,omitzero"`
	Reason      token.Reason `json:"reason,omitempty"`
	BlockedAt   time.Time    `json:"blocked_at,omitzero"`
	BlockedBy   string       `json:"blocked_by,omitempty"`
	Until       time.Time    `json:"until,omitzero"`
	Created     time.Time    `json:"created"`

	desk.Remains // where it is the one that was asked for
}

type credentialView struct {
	Kind      token.Kind  `json:"kind"`
	Slot      token.Slot  `json:"slot,omitempty"`
	Account   string      `json:"account,omitempty"` // in the key's OATH application, as the key calls it; it may name a person
	Issuer    string      `json:"issuer,omitempty"`
	PublicID  string      `json:"public_id,omitempty"`
	State     token.State `json:"state"`
	Validates bool        `json:"validates"`
	Caution   int         `json:"caution,omitempty"` // above 0: not trusted after a backup was put back
	Digits    int         `json:"digits,omitempty"`
	Hash      string      `json:"hash,omitempty"`
	Period    int         `json:"period_seconds,omitempty"`
	Drift     int64       `json:"drift_steps,omitempty"` // that its clock is ahead
	UsedAt    time.Time   `json:"used_at,omitzero"`
	Created   time.Time   `json:"created"`
}

// finding is what whoever typed may read.
type finding struct {
	Code     string `json:"code"`
	Title    string `json:"title"`
	Cause    string `json:"cause"`
	Evidence string `json:"evidence"`
	Advice   string `json:"advice"`
}

type attemptView struct {
	Code     string             `json:"support_code"`
	At       time.Time          `json:"at"`
	Client   int64              `json:"client,omitempty"`
	Source   string             `json:"source,omitempty"`
	Person   string             `json:"person,omitempty"` // account
	Token    token.ID           `json:"token,omitempty"`
	Findings []diagnose.Finding `json:"findings"`
}

type codeView struct {
	ID       int64         `json:"id"`
	Kind     desk.CodeKind `json:"kind"`
	UsesLeft int           `json:"uses_left"`
	Expires  time.Time     `json:"expires,omitzero"`
	Client   int64         `json:"client,omitempty"`
	Created  time.Time     `json:"created"`
}

type browserView struct {
	ID      int64     `json:"id"`
	Client  int64     `json:"client"`
	Device  string    `json:"device,omitempty"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
	Expires time.Time `json:"expires"`
}

type clientView struct {
	ID       int64     `json:"id"`
	Name     string    `json:"name"`
	Active   bool      `json:"active"`
	MustSign bool      `json:"must_sign"`
	Decrypt  bool      `json:"decrypt"`
	Networks []string  `json:"networks"` // none: anywhere
	Groups   []string  `json:"groups"`   // none: everybody
	Until    time.Time `json:"former_key_until,omitzero"`
}

type operatorView struct {
	Name    string      `json:"name"`
	Roles   []desk.Role `json:"roles"`
	Active  bool        `json:"active"`
	Created time.Time   `json:"created"`
}

// each makes a list that is [] when it is empty.
func each[T, V any](list []T, view func(T) V) []V {
	out := make([]V, len(list))
	for i, t := range list {
		out[i] = view(t)
	}
	return out
}

func viewPerson(p token.Person) personView { return personView{p.Account, p.Name, p.Mail, p.Groups} }

func viewToken(t token.Token) tokenView {
	v := tokenView{
		ID: t.ID, Serial: t.Serial, Label: t.Label, StockNumber: t.StockNumber, Model: t.Model, Firmware: t.Firmware, Name: t.Name,
		State: t.State, IssuedAt: t.IssuedAt, Reason: t.Reason, BlockedAt: t.BlockedAt, BlockedBy: t.BlockedBy, Until: t.Until, Created: t.Created,
	}
	if t.Holder != nil {
		v.Holder = t.Holder.Account
	}
	return v
}

func viewCredential(c token.Credential) credentialView {
	return credentialView{
		Kind: c.Kind, Slot: c.Slot, Account: c.Settings.Account, Issuer: c.Settings.Issuer, PublicID: c.TypedID(), State: c.State, Validates: c.Enabled && c.Kind.Validates(), Caution: c.Caution,
		Digits: c.Settings.Digits, Hash: c.Settings.Hash, Period: int(c.Settings.Period / time.Second), Drift: c.Counters.Clock.Drift, UsedAt: c.Counters.At, Created: c.Created,
	}
}

func viewFinding(f diagnose.Finding) finding {
	return finding{f.Code, f.Title, f.Cause, f.Evidence, f.User}
}

func viewAttempt(a diagnose.Attempt) attemptView {
	v := attemptView{Code: token.ShowSpoken(a.Code), At: a.At, Client: a.Client, Source: a.Source, Token: a.Token, Findings: findings(a.Findings)}
	if a.Person != nil {
		v.Person = a.Person.Account
	}
	return v
}

// findings is list, or [].
func findings(list []diagnose.Finding) []diagnose.Finding {
	return append([]diagnose.Finding{}, list...)
}

func viewCode(c desk.Code) codeView {
	return codeView{c.ID, c.Kind, c.UsesLeft, c.Expires, c.Client, c.Created}
}

func viewBrowser(b desk.Browser) browserView {
	return browserView{b.ID, b.Client, b.Name, b.Created, b.Used, b.Expires}
}

func viewClient(c validate.Client) clientView {
	v := clientView{ID: c.ID, Name: c.Name, Active: c.Active, MustSign: c.MustSig, Decrypt: c.Decrypt, Networks: []string{}, Groups: append([]string{}, c.Groups...), Until: c.Until}
	for _, n := range c.Networks {
		v.Networks = append(v.Networks, n.String())
	}
	return v
}

func viewOperator(o desk.Operator) operatorView {
	return operatorView{o.Name, append([]desk.Role{}, o.Roles...), o.Active, o.Created}
}
