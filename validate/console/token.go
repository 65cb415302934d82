package console

import (
	"net/http"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// mostEvents is how many lines a token's history shows.
const mostEvents = 50

// tokenPage is a token with everything on it, without secrets.
type tokenPage struct {
	page
	Token       token.Token
	Credentials []token.Credential
	Used        time.Time
	Targets     []targetRow
	History     []deed
	HistoryMore bool
	Blockable   bool // blocking means something
	Restorable  bool
	Undoable    bool // by this operator, still
	UndoUntil   time.Time
	Waiting     bool // for another server

	Certificates []token.Certificate // that are still valid, at whoever issued them
}

// targetRow is the token at another server.
type targetRow struct {
	Target              string
	Wanted, Done        desk.Wanted
	Settled, StillValid bool
	Error               string
	At                  time.Time
}

// tokenPage reads the token in the path.
func (v *visit) tokenPage(title string) (tokenPage, error) {
	p := tokenPage{page: v.page(title)}
	var err error
	if p.Token, p.Credentials, err = v.Desk.Show(v.ctx, v.query()); err != nil {
		return p, err
	}
	if p.Title == "" {
		p.Title = tokenName(p.Token)
	}
	p.Used = lastUse(p.Credentials)
	p.Blockable = blockable(p.Token)
	p.Restorable = p.Token.State.Blocked()
	p.UndoUntil = p.Token.BlockedAt.Add(token.UndoTime)
	p.Undoable = p.Restorable && p.Token.BlockedBy == v.operator.Actor() && v.start.Before(p.UndoUntil)
	if p.Certificates, err = v.Desk.ValidCertificates(v.ctx, p.Token); err != nil {
		return p, err
	}
	pushes, err := v.Desk.PushStatus(v.ctx, v.query())
	for _, at := range pushes {
		p.Waiting = p.Waiting || !at.Settled()
		p.Targets = append(p.Targets, targetRow{at.Target.Name, at.Wanted, at.Done, at.Settled(), at.StillValid(), at.Error, at.DoneAt})
	}
	return p, err
}

// blockable reports whether a block changes something: a token that is lost already stays so, and one that is revoked too.
func blockable(t token.Token) bool {
	_, err := t.State.Next(token.Lose)
	return err == nil
}

// showToken is the page of a token.
func (v *visit) showToken() error {
	p, err := v.tokenPage("")
	if err != nil {
		return err
	}
	events, err := v.Desk.History(v.ctx, v.query(), mostEvents+1)
	if err != nil {
		return err
	}
	if p.HistoryMore = len(events) > mostEvents; p.HistoryMore {
		events = events[:mostEvents]
	}
	for _, e := range events {
		p.History = append(p.History, deedOf(e))
	}
	v.render(http.StatusOK, "token", p)
	return nil
}
