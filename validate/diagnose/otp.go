package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// OTP is what is known about a text that may be a Yubico OTP.
type OTP struct {
	Parsed  bool   // as typed, it has the form of one
	Factory bool   // the public ID is of those that are written in the factory
	Held    Held   // the credential with its public ID; none: Held.Credential.ID is 0
	Opened  bool   // CRC and private ID are right
	Foreign bool   // the CRC is right, the private ID is not
	Gone    bool   // the secrets of the credential were deleted: nobody can tell more
	Tail    bool   // only its last otpChars characters are one of a known credential
	Layout  string // it opened as typed on one of these; "": as typed, with US Dvorak among them
	Row     validate.Row
	Order   validate.Reason // what the counters say: ReasonAccepted, ReasonSame or ReasonOlder
	Content yubiotp.Token   // if Opened
	Marks   validate.Marks
	// About the credential's token and the subject:
	Mine    bool         // the subject holds the token, or it is the one
	Live    token.Slot   // another slot of the same token whose Yubico OTP is accepted; 0: none
	Instead *token.Token // another token of its holder that is active
}

// known reports whether some credential has the public ID.
func (o OTP) known() bool { return o.Held.Credential.ID != 0 }

// factoryPrefix begins the public IDs that are written in the factory: byte 00. Source: reference yubikey-otp.md §4.2.
const factoryPrefix = "cc"

// readOTP tries every reading of the text against every credential with its public ID, live ones first. The best is kept: what
// opens, then what has the right CRC, then what is known.
func (d *Doctor) readOTP(ctx context.Context, typed string, s Subject) (OTP, error) {
	best, err := d.readOne(ctx, lastOTP(typed), s)
	clean, _ := modhex.Clean(typed)
	if err != nil || best.known() || len(clean) <= otpChars || !isModHex(clean) {
		return best, err
	}
	tail, err := d.readOne(ctx, clean[len(clean)-otpChars:], s)
	if err == nil && tail.known() {
		tail.Tail = true
		return tail, nil
	}
	return best, err
}

func (d *Doctor) readOne(ctx context.Context, typed string, s Subject) (OTP, error) {
	var best OTP
	readings := validate.LayoutReadings(typed)
	if len(readings) == 0 {
		return best, nil
	}
	var ids []token.PublicID
	for _, r := range readings {
		if !slices.Contains(ids, r.PublicID) {
			ids = append(ids, r.PublicID)
		}
		if r.Layouts == nil && !r.Dvorak {
			best.Parsed = true
			best.Factory = r.PublicID.Len() == idChars/2 && strings.HasPrefix(r.PublicID.String(), factoryPrefix)
		}
	}
	held, err := d.Store.Holders(ctx, ids)
	if err != nil {
		return best, fmt.Errorf("find holders: %w", err)
	}
	for _, r := range readings {
		for _, h := range held {
			if h.Credential.PublicID != r.PublicID || best.Opened {
				continue
			}
			o, err := d.open(ctx, r, h)
			if err != nil {
				return best, err
			}
			if o.Opened || o.Foreign && !best.Foreign || !best.known() {
				o.Parsed, o.Factory = best.Parsed, best.Factory
				best = o
			}
		}
	}
	if best.known() {
		best.relate(s, held)
	}
	return best, nil
}

// open tries one reading on one credential. Its secrets may have been deleted: then it is known, and no more.
func (d *Doctor) open(ctx context.Context, r validate.Reading, h Held) (OTP, error) {
	o := OTP{Held: h, Row: validate.Row{Enabled: h.Credential.Enabled, Caution: h.Credential.Caution, State: h.Credential.State, Token: h.Token.State, Counters: h.Credential.Counters}}
	secrets, err := d.Store.CredentialSecrets(ctx, h.Credential.ID)
	if errors.Is(err, token.ErrNotFound) {
		o.Gone = true
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("read secrets: %w", err)
	}
	defer secrets.Destroy()
	cipher, err := yubiotp.NewCipher(secrets.Key, secrets.PrivateID)
	if err != nil { // they were deleted
		o.Gone = true
		return o, nil
	}
	defer cipher.Destroy()
	content, verdict := cipher.Open(r.Block)
	o.Foreign = verdict == yubiotp.WrongPrivateID
	if o.Opened = verdict == yubiotp.OK; o.Opened {
		o.Content, o.Layout = content, modhex.Names(r.Layouts)
		if r.Dvorak && o.Layout == "" {
			o.Layout = "English (Dvorak)"
		}
		o.judge(validate.Row{Enabled: true, Counters: o.Row.Counters}, d)
	}
	return o, nil
}

// judge compares with the counters of a row.
func (o *OTP) judge(row validate.Row, d *Doctor) {
	row.Enabled = true // what the counters say is asked, whatever the state says
	o.Order = validate.Decide(row, o.Content, "").Reason
	o.Marks = validate.Marks{}.Judge(row.Counters, o.Content, d.Now())
}

// relate says what the credential has to do with the subject.
func (o *OTP) relate(s Subject, held []Held) {
	t := o.Held.Token
	o.Mine = s.Token == t.ID || s.Person != nil && t.Holder != nil && s.Person.ID == t.Holder.ID
	for _, h := range slices.Concat(s.Held, held) {
		c := h.Credential
		live := c.Enabled && h.Token.State.Validates()
		if h.Token.ID == t.ID && c.ID != o.Held.Credential.ID && live && c.Slot != 0 && c.Slot != o.Held.Credential.Slot { // 0: an account
			o.Live = c.Slot
		}
		same := t.Holder == nil || h.Token.Holder != nil && h.Token.Holder.ID == t.Holder.ID
		if h.Token.ID != t.ID && c.Kind == token.YubicoOTP && live && same {
			instead := h.Token
			o.Instead = &instead
		}
	}
}

// lastOTP is the last of several OTPs that follow one another, or the text.
func lastOTP(typed string) string {
	clean, _ := modhex.Clean(typed)
	if n := len(clean); n >= 2*otpChars && n%otpChars == 0 && isModHex(clean) {
		return clean[n-otpChars:]
	}
	if n := len(clean) - otpChars; glued(clean) {
		if isModHex(clean[n:]) {
			return clean[n:]
		}
		return clean[:otpChars]
	}
	return typed
}
