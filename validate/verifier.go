package validate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// ErrContended says that the row changed under every one of several decisions. The OTP was not accepted.
var ErrContended = errors.New("the credential changes too fast to decide")

// maxDecisions bounds how often one OTP is decided again because its row changed meanwhile.
const maxDecisions = 4

// Verifier decides about OTPs. It is safe for concurrent use. Make it with New.
type Verifier struct {
	Layouts bool // accept what other keyboard layouts make of an OTP: see LayoutReadings. Set before the first use

	counters Counters
	now      func() time.Time
	dummy    yubiotp.Cipher // does the work for unknown public IDs; its verdict never counts
	open     func(yubiotp.Cipher, [yubiotp.BlockLen]byte) (yubiotp.Token, yubiotp.Verdict)
}

// New returns a Verifier over a store and a clock.
func New(c Counters, now func() time.Time) *Verifier {
	dummy, err := yubiotp.NewCipher(secret.New(make([]byte, yubiotp.KeyLen)), secret.New(make([]byte, yubiotp.PrivateIDLen)))
	if err != nil {
		panic(err) // the sizes are constants
	}
	return &Verifier{counters: c, now: now, dummy: dummy, open: yubiotp.Cipher.Open}
}

// Request is one OTP and who asks.
type Request struct {
	OTP    string // as typed
	Nonce  string // "" if the protocol has none
	Client int64  // 0: none
	Source string
	Signed bool
	Groups []string   // Client.Groups: of others than these, and of unknown public IDs, only ReasonNotAllowed is said
	Kept   Generation // not 0: the client was kept in memory since then, and the credential may be too; for VerifyKept
	Of     *Subject   // nil: anybody
}

// Subject is whose OTP is wanted: of one token, or if that is 0, of any that a person holds. The zero Subject has none, and no
// OTP is accepted.
type Subject struct {
	Person token.PersonID
	Token  token.ID
}

// refuses says why an OTP that opened is not the subject's, "" if it is.
func (s *Subject) refuses(r Result) Reason {
	switch {
	case s == nil, s.Token != 0 && s.Token == r.Token, s.Token == 0 && s.Person != 0 && s.Person == r.Holder:
		return ""
	case *s == Subject{}:
		return ReasonNobody
	}
	return ReasonOtherHolder
}

// Result is what was found. Fields after Reason are zero as far as the OTP was not understood, and never say outside
// more than Outcome does.
type Result struct {
	Outcome    Outcome
	Reason     Reason
	PublicID   token.PublicID
	Credential token.CredentialID // 0: none has this public ID
	Token      token.ID
	Holder     token.PersonID // of the token; 0: nobody
	Opened     bool           // CRC and private ID are right
	OTP        yubiotp.Token  // if Opened
	Row        Row            // that the decision was made against
	Marks      Marks
	note       *Advance // to be noted: nil if nothing is, or if it was written with the counters
}

// Verify decides about one OTP and spends it. The error is the store's: then nothing is known, the OTP may or may not be
// spent, and the same request may be sent again: with the same nonce it is a ReplayedRequest if it had been accepted.
func (v *Verifier) Verify(ctx context.Context, req Request) (Result, error) {
	r, err := v.understand(ctx, req)
	if err != nil || !r.Opened {
		return r, err
	}
	if reason := req.Of.refuses(r); reason != "" {
		return v.refuse(ctx, req, r, reason)
	}
	for range maxDecisions {
		d := Decide(r.Row, r.OTP, req.Nonce)
		r.Outcome, r.Reason = d.Outcome, d.Reason
		a := r.advance(req, v.now())
		r.Marks = r.Marks.Judge(r.Row.Counters, r.OTP, a.At)
		switch {
		case r.Outcome == Accepted:
			ok, err := v.counters.Accept(ctx, a)
			if err != nil {
				return Result{PublicID: r.PublicID}, fmt.Errorf("accept: %w", err)
			}
			if ok {
				return r, nil
			}
		case !r.Row.Enabled:
			if err := v.counters.Spend(ctx, a); err != nil {
				return Result{PublicID: r.PublicID}, fmt.Errorf("spend: %w", err)
			}
			return r, nil
		default:
			r.note = &a
			return r, nil
		}
		if r.Row, err = v.reread(ctx, r); err != nil {
			return Result{PublicID: r.PublicID}, err
		}
	}
	return Result{PublicID: r.PublicID}, ErrContended
}

// VerifyKept accepts an OTP on what the store keeps in memory, of req.Kept as the client is. Another Outcome than Accepted says
// nothing, and nothing was written: the client is to be read, and Verify asked.
func (v *Verifier) VerifyKept(ctx context.Context, req Request) (Result, error) {
	keeper, keeps := v.counters.(Keeper)
	if !keeps || req.Kept == 0 {
		return Result{}, nil
	}
	for _, reading := range v.readings(req.OTP) {
		c, g := keeper.KeptCredential(reading.PublicID)
		if g != req.Kept {
			return Result{}, nil
		}
		r, err := v.decrypt(ctx, reading, req.Groups, func(context.Context, token.PublicID) (Credential, error) { return c, nil })
		if err != nil || !r.Opened {
			continue
		}
		return v.acceptKept(ctx, req, r)
	}
	return Result{}, nil
}

func (v *Verifier) acceptKept(ctx context.Context, req Request, r Result) (Result, error) {
	d := Decide(r.Row, r.OTP, req.Nonce)
	if d.Outcome != Accepted || req.Of.refuses(r) != "" {
		return Result{}, nil
	}
	r.Outcome, r.Reason = d.Outcome, d.Reason
	a := r.advance(req, v.now())
	a.Kept = req.Kept
	r.Marks = r.Marks.Judge(r.Row.Counters, r.OTP, a.At)
	ok, err := v.counters.Accept(ctx, a)
	if err != nil {
		return Result{PublicID: r.PublicID}, fmt.Errorf("accept: %w", err)
	}
	if !ok {
		return Result{}, nil
	}
	return r, nil
}

// refuse answers about an OTP of somebody else: it is not spent, unless its token is blocked, as nothing that is pressed meanwhile may
// count afterwards.
func (v *Verifier) refuse(ctx context.Context, req Request, r Result, why Reason) (Result, error) {
	r.Outcome, r.Reason = BadOTP, why
	a := r.advance(req, v.now())
	if r.Row.Enabled {
		r.note = &a
		return r, nil
	}
	if err := v.counters.Spend(ctx, a); err != nil {
		return Result{PublicID: r.PublicID}, fmt.Errorf("spend: %w", err)
	}
	return r, nil
}

// Note writes the event of a refused OTP of a known credential; it does nothing for other results. It is called after the
// answer was given, because it would tell by its time which public IDs exist.
func (v *Verifier) Note(ctx context.Context, r Result) error {
	if r.note == nil {
		return nil
	}
	if err := v.counters.Note(ctx, *r.note); err != nil {
		return fmt.Errorf("note: %w", err)
	}
	return nil
}

// understand tries the readings of the OTP. The first that opens counts; otherwise the first whose public ID is known.
func (v *Verifier) understand(ctx context.Context, req Request) (Result, error) {
	best := Result{Outcome: BadOTP, Reason: ReasonMalformed}
	readings, find := v.readings(req.OTP), finder(v.counters.Find)
	if len(readings) > 1 {
		find = once(find)
	}
	for _, reading := range readings {
		r, err := v.decrypt(ctx, reading, req.Groups, find)
		if err != nil || r.Opened {
			return r, err
		}
		if best.Reason == ReasonMalformed || best.Credential == 0 && r.Credential != 0 {
			best = r
		}
	}
	if best.Credential != 0 {
		a := best.advance(req, v.now())
		best.note = &a
	}
	return best, nil
}

// decrypt finds the credential of one reading and opens the block: one decryption and one comparison of the private ID,
// whether the public ID is known or not, and whether groups allow to ask about it or not.
func (v *Verifier) decrypt(ctx context.Context, reading Reading, groups []string, find finder) (Result, error) {
	marks := Marks{Dvorak: reading.Dvorak, Layout: modhex.Names(reading.Layouts), Changes: strings.Join(reading.Changes, ", ")}
	r := Result{Outcome: BadOTP, Reason: ReasonUnknown, PublicID: reading.PublicID, Marks: marks}
	c, err := find(ctx, reading.PublicID)
	switch {
	case errors.Is(err, token.ErrNotFound):
		v.open(v.dummy, reading.Block)
		if len(groups) > 0 { // nor is it told that there is none
			r.Reason = ReasonNotAllowed
		}
		return r, nil
	case err != nil:
		return r, fmt.Errorf("find: %w", err)
	case !allowsGroups(groups, c.Groups):
		v.open(v.dummy, reading.Block)
		r.Credential, r.Token, r.Row, r.Reason = c.ID, c.Token, c.Row, ReasonNotAllowed
		return r, nil
	}
	otp, verdict := v.open(c.Cipher, reading.Block)
	r.Credential, r.Token, r.Holder, r.Row = c.ID, c.Token, c.Holder, c.Row
	switch verdict {
	case yubiotp.OK:
		r.Opened, r.OTP, r.Reason = true, otp, ""
	case yubiotp.WrongPrivateID:
		r.Reason = ReasonPrivateID
	default:
		r.Reason = ReasonCRC
	}
	return r, nil
}

// Open says what one reading of an OTP holds, and decides nothing: no counter is asked or changed. Of a credential that validates
// nothing, and of one of other groups, nothing is said either: then Opened is false, as for an unknown public ID, which takes as long.
func (v *Verifier) Open(ctx context.Context, reading Reading, groups []string) (Result, error) {
	r, err := v.decrypt(ctx, reading, groups, v.counters.Find)
	if err != nil || r.Row.Enabled || r.Credential == 0 || r.Reason == ReasonNotAllowed {
		return r, err
	}
	if why := disabled(r.Row); why != ReasonCautious {
		r.Opened, r.OTP, r.Reason = false, yubiotp.Token{}, why
	}
	return r, nil
}

// finder is Counters.Find.
type finder func(context.Context, token.PublicID) (Credential, error)

// once asks for each public ID once.
func once(find finder) finder {
	type answer struct {
		c   Credential
		err error
	}
	known := map[token.PublicID]answer{}
	return func(ctx context.Context, id token.PublicID) (Credential, error) {
		a, ok := known[id]
		if !ok {
			a.c, a.err = find(ctx, id)
			known[id] = a
		}
		return a.c, a.err
	}
}

// reread fetches the row again after Accept changed none. If the credential is gone meanwhile, its row is a revoked one.
func (v *Verifier) reread(ctx context.Context, r Result) (Row, error) {
	c, err := v.counters.Find(ctx, r.PublicID)
	if errors.Is(err, token.ErrNotFound) || err == nil && c.ID != r.Credential {
		return Row{State: token.Revoked, Token: r.Row.Token, Counters: r.Row.Counters}, nil
	}
	if err != nil {
		return Row{}, fmt.Errorf("find again: %w", err)
	}
	return c.Row, nil
}

// advance is what the store is asked for.
func (r Result) advance(req Request, at time.Time) Advance {
	a := Advance{
		Credential: r.Credential, Use: -1, Session: -1, Nonce: req.Nonce, At: at,
		Proven: r.Row.State == token.Active && r.Row.Token == token.Active,
		Event:  Event{Client: req.Client, Source: req.Source, PublicID: r.PublicID, Result: string(r.Outcome), Reason: r.Reason, Signed: req.Signed},
	}
	if r.Opened {
		a.Use, a.Session, a.Timestamp = int(r.OTP.UseCounter), int(r.OTP.SessionCounter), int(r.OTP.Timestamp)
	}
	if req.Of != nil {
		a.Event.Kind, a.Event.Person, a.Event.Token = string(token.YubicoOTP), req.Of.Person, r.Token
	}
	return a
}
