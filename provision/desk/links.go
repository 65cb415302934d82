package desk

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// LinkState is where an enrolment link is. Its text is for staff.
type LinkState string

// The states of a link. WrongPIN is an answer only: nothing is listed in it.
const (
	LinkUnknown   LinkState = "unknown"
	LinkOpen      LinkState = "open"      // waits for somebody with the PIN; no secret is out, or it is not good any more
	LinkShown     LinkState = "shown"     // its secret is out, and waits for a code
	LinkWrongPIN  LinkState = "wrong pin" // one try less
	LinkLocked    LinkState = "locked"    // no tries are left; for ever
	LinkExpired   LinkState = "expired"
	LinkCancelled LinkState = "cancelled"
	LinkDone      LinkState = "done"
)

// The bounds of a link. A secret lives SecretTime from when it was drawn (keyfile.Record.Created), and takes MaxLinkCodes wrong
// codes; afterwards the link, if it lives, gives another one. Source: PRODUCT.md §3.f.
//
// Guessing: a link is one of 2^256. Who has it but not the PIN has PINTries tries at 2^30 values, odds of 5e-9, and the link is
// dead.
const (
	DefaultLinkTime = 24 * time.Hour
	MaxLinkTime     = 7 * 24 * time.Hour
	SecretTime      = 30 * time.Minute
	PINTries        = 5
	MaxLinkCodes    = 10
)

// Link is a way for a person to get the secret of an app: nobody else sees it, also no operator. Opening it needs the PIN, which
// the person is told another way, so that programs that open the links in mails spoil nothing.
type Link struct {
	ID        int64
	Person    token.Person
	Kind      token.Kind
	Settings  token.Settings
	State     LinkState
	TriesLeft int
	Created   time.Time
	Expires   time.Time
	// Only Enroll tells them. Value is 43 characters of base64url, PIN is normalised: see token.ShowSpoken. The caller destroys both.
	Value, PIN secret.Bytes
}

// NewLink is what AddLink keeps. Of Value and PIN it keeps keyed hashes.
type NewLink struct {
	Account  string
	Kind     token.Kind
	Settings token.Settings
	Valid    time.Duration
	Value    secret.Bytes
	PIN      secret.Bytes
}

// Draw makes a pending app token and its credential, with a fresh secret that the callee destroys.
type Draw func(token.Kind, token.Settings) (token.Token, token.Credential, error)

// Prove says whether a code is one of the credential, which has its key, and to what it raises the counters.
type Prove func(token.Credential) (token.Counters, Proof, error)

// Links keeps enrolment links. value and pin are text as it was handed out; an empty pin is wrong and costs no try.
type Links interface {
	// AddLink adds a link in state LinkOpen; token.ErrNotFound for the account.
	AddLink(ctx context.Context, l NewLink) (Link, error)
	// Links are those of a person, or of everybody for "", by number, with their states.
	Links(ctx context.Context, account string) ([]Link, error)
	// CancelLink ends a link and revokes the secret that is out; token.ErrConflict if it has ended already, token.ErrNotFound.
	CancelLink(ctx context.Context, id int64) error
	// LinkState changes nothing.
	LinkState(ctx context.Context, value string) (LinkState, error)
	// ShowLink counts the try unless the PIN is right, and then leads to LinkShown with the credential whose secret is to be shown:
	// the one that is out, otherwise one that it draws. The audit event is durable on return. Any other state: nothing is shown.
	ShowLink(ctx context.Context, value, pin string, draw Draw) (LinkState, token.CredentialID, error)
	// FinishLink counts as ShowLink does. In LinkShown it asks prove: Proven raises the moving factor in one guarded statement, or is
	// NotNewer; then token and credential become active, under the name, all or nothing, and the state LinkDone. Other proofs are counted.
	// A *TextError for a name that another token of the person has; nothing is counted then.
	FinishLink(ctx context.Context, value, pin, name string, prove Prove) (LinkState, Proof, error)
}

// Enroll makes a link by which a person gets an app token as a says; a.Holder does not count. valid 0 is DefaultLinkTime. Nothing
// is drawn before the link is opened. The errors are *TextError and token.ErrNotFound.
func (d *Desk) Enroll(ctx context.Context, account string, a App, valid time.Duration) (Link, error) {
	a.Kind, valid = orDefault(a.Kind, token.TOTP), orDefault(valid, DefaultLinkTime)
	set, err := a.settings()
	if err != nil {
		return Link{}, err
	}
	if valid < time.Minute || valid > MaxLinkTime {
		return Link{}, &TextError{"valid", "a minute to 168 hours are possible"}
	}
	n := NewLink{Account: account, Kind: a.Kind, Settings: set, Valid: valid}
	if n.Value, err = randomText(d.Rand); err != nil {
		return Link{}, err
	}
	if n.PIN, err = token.NewSpoken(d.Rand, token.PINLen); err != nil {
		n.Value.Destroy()
		return Link{}, err
	}
	l, err := d.Store.AddLink(ctx, n)
	if err != nil {
		n.Value.Destroy()
		n.PIN.Destroy()
		return Link{}, err
	}
	l.Value, l.PIN = n.Value, n.PIN
	return l, nil
}

// Links are those of a person, or of everybody for "".
func (d *Desk) Links(ctx context.Context, account string) ([]Link, error) {
	return d.Store.Links(ctx, account)
}

// CancelLink ends a link; token.ErrConflict if it has ended already, token.ErrNotFound.
func (d *Desk) CancelLink(ctx context.Context, id int64) error {
	return d.Store.CancelLink(ctx, id)
}

// OpenLink is what a GET may do: it consumes nothing.
func (d *Desk) OpenLink(ctx context.Context, value string) (LinkState, error) {
	return d.Store.LinkState(ctx, value)
}

// ShowLink gives the secret out to whoever has the link and the PIN, in LinkShown; the caller destroys the record. Within SecretTime of
// its drawing it is the same one. In any other state the record is empty.
func (d *Desk) ShowLink(ctx context.Context, value, pin string) (LinkState, keyfile.Record, error) {
	pin, _ = token.NormaliseSpoken(pin) // what is no PIN is empty
	state, id, err := d.Store.ShowLink(ctx, value, pin, d.drawApp)
	if err != nil || state != LinkShown {
		return state, keyfile.Record{}, err
	}
	rec, err := d.Store.Record(ctx, id)
	return state, rec, err
}

// FinishLink makes the app token active by a code of it, under a name that no other token of the person has: LinkDone and Proven.
// In LinkShown the proof says what was wrong with the code. In LinkOpen the secret that was out is not good any more, by its age or
// by MaxLinkCodes wrong codes: ShowLink gives another one. LinkDone without a proof: it was done before. *TextError for the name.
func (d *Desk) FinishLink(ctx context.Context, value, pin, code, name string) (LinkState, Proof, error) {
	if err := CheckName(name); err != nil {
		return "", "", err
	}
	pin, _ = token.NormaliseSpoken(pin)
	return d.Store.FinishLink(ctx, value, pin, name, d.proveApp(code))
}

// CheckName is a *TextError for what a person cannot call a device.
func CheckName(name string) error { return checkText("name", name, true) }

// proveApp says whether a code is one of the pending app.
func (d *Desk) proveApp(code string) Prove {
	return func(c token.Credential) (token.Counters, Proof, error) {
		digits, ok := codeDigits(code)
		if !ok {
			return token.Counters{}, NoCode, nil
		}
		e, proof, err := matchAny(token.Token{Model: token.App}, []token.Credential{c}, []string{digits}, confirming, d.Now())
		return e.Counters, proof, err
	}
}
