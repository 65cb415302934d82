package wsapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Revoker is the part of a store that Revoke needs: validate.Counters' Find, and two methods of desk.Life.
type Revoker interface {
	Find(ctx context.Context, id token.PublicID) (validate.Credential, error)
	Block(ctx context.Context, id token.ID, b desk.Block) (desk.Effects, error)
	Undo(ctx context.Context, id token.ID) error
}

// Revoke answers /wsapi/revoke, with which scripts switched keys of yubikey-val off and on:
//
//	GET /wsapi/revoke?yk=vvccccccccc&do=disable
//
//	OK Processed vvccccccccc with disable
//
// disable blocks the token that carries the key as lost: everything on it, on every server, at once; also one that this server has
// never seen used. enable takes back what this door blocked itself, while token.UndoTime lasts, and otherwise says that somebody
// must prove the token with a fresh OTP: nothing that was pressed before may count again without one. The caller's address is
// the only proof that there is; a page in a browser there is refused. Source: reference validation-protocol.md §11.
type Revoke struct {
	Store    Revoker
	From     []netip.Prefix // who may; none: nobody
	Now      func() time.Time
	Observer validate.Observer // nil: none
	Settle   func(token.ID)    // told of each token that was changed; nil: nobody is
}

// revokeActor is who did it, for the audit chain; the address is in the note.
const revokeActor = "wsapi/revoke"

// The answers. Source: reference validation-protocol.md §11; the last is ours.
const (
	revokeOK       = "OK Processed "
	revokeAddress  = "ERROR Authorization failed"
	revokeMissing  = "ERROR Missing parameter"
	revokeForm     = "ERROR Unknown yk value"
	revokeUnknown  = "ERROR Unknown yubikey"
	revokeVerb     = "ERROR Unknown do value"
	revokeDatabase = "ERROR Database connect error"
	revokeProof    = "ERROR Not enabled"
)

// ServeHTTP implements http.Handler.
func (v *Revoke) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	told := arrived(validate.DoorRevoke, w, r, v.Now())
	whole := context.WithoutCancel(r.Context())
	defer func() { tell(whole, v.Observer, told, v.Now) }()
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		told.Status = wrongMethod(w, "GET, POST")
		return
	}
	ctx, cancel := context.WithTimeout(whole, patience)
	defer cancel()
	word, more := v.answer(ctx, r, &told)
	told.Outcome = strings.TrimSpace(word)
	writeLine(w, http.StatusOK, word+more)
}

// answer checks in yubikey-val's order. It returns the word of the answer and what follows it.
func (v *Revoke) answer(ctx context.Context, r *http.Request, told *validate.Answered) (word, more string) {
	if !listed(v.From, told.Source) || fromPage(r) {
		return revokeAddress, " (logged " + told.Source + ")"
	}
	told.Signed = true
	text, read := paramText(r)
	params, broken := parameters(text)
	name, do := params["yk"], params["do"]
	switch {
	case broken, !read, name == "", do == "":
		return revokeMissing, ""
	case len(name) > maxPublicName, !isModHex(name):
		return revokeForm, ": " + printable(name)
	case do != "enable" && do != "disable":
		return revokeVerb, ": " + printable(do)
	}
	var c validate.Credential
	id, err := token.ParsePublicID(name)
	if err != nil { // an odd number of letters
		err = token.ErrNotFound
	} else {
		c, err = v.Store.Find(ctx, id)
	}
	switch {
	case errors.Is(err, token.ErrNotFound):
		told.Reason = validate.ReasonUnknown
		return revokeUnknown, ": " + name
	case err != nil:
		told.Err = err
		return revokeDatabase, ""
	}
	told.PublicID, told.Token = c.PublicID, c.Token
	changed, err := v.change(token.WithActor(ctx, revokeActor), c, do, told.Source)
	if changed && v.Settle != nil {
		v.Settle(c.Token)
	}
	var undo *desk.UndoError
	var state *token.TransitionError
	switch {
	case errors.As(err, &undo), errors.As(err, &state):
		return revokeProof, ": prove " + name + " with a fresh OTP (tokendesk token restore)"
	case err != nil:
		told.Err = err
		return revokeDatabase, ""
	}
	return revokeOK, name + " with " + do
}

// change does it; false if all was so already.
func (v *Revoke) change(ctx context.Context, c validate.Credential, do, source string) (bool, error) {
	switch {
	case do == "enable" && !c.Row.Token.Blocked():
		return false, nil
	case do == "enable":
		err := v.Store.Undo(ctx, c.Token)
		return err == nil, err
	case c.Row.Token == token.Lost:
		return false, nil
	}
	_, err := v.Store.Block(ctx, c.Token, desk.Block{Reason: token.ReasonLost, Note: "asked for at /wsapi/revoke from " + source})
	return err == nil, err
}

// fromPage reports whether a browser sends the request for a page of somebody else, or of any at all: links and forms, which a person at a
// listed address may be led to.
func fromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "none" || r.Header.Get("Origin") != ""
}

// printable is the beginning of what came in, without what is no plain letter, digit or sign.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' {
			return '?'
		}
		return c
	}, s[:min(len(s), maxPublicName)])
}
