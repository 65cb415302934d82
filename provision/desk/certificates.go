package desk

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// ValidCertificates are those in a token's PIV application that still let in whoever has it: their issuers alone can revoke them.
func (d *Desk) ValidCertificates(ctx context.Context, t token.Token) ([]token.Certificate, error) {
	if t.Serial == 0 {
		return nil, nil
	}
	list, err := d.Store.Certificates(ctx, t.Serial)
	now := d.Now()
	return slices.DeleteFunc(list, func(c token.Certificate) bool { return !c.Valid(now) }), err
}

// LiveCertificate is a certificate that lets in whoever has the key, as programs are told of it.
type LiveCertificate struct {
	Slot       string    `json:"slot"`
	Number     string    `json:"number"` // hexadecimal
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"`
	NotAfter   time.Time `json:"not_after"`
	SelfSigned bool      `json:"self_signed"`
	SHA256     string    `json:"sha256"`
	Do         string    `json:"when_lost"` // what makes it worthless, in words
}

// The applications of a key that Remains may want wiped.
const (
	WipeOATH = "oath"
	WipePIV  = "piv"
)

// Remains are what is left to be done about a token that was blocked, taken from its holder or given up.
type Remains struct {
	Revoked      []string          `json:"revoked_accounts,omitempty"` // with it, in its OATH application: its former holder may know their secrets
	Wipe         []string          `json:"wipe,omitempty"`             // applications that are to be wiped before somebody else gets it
	Certificates []LiveCertificate `json:"certificates,omitempty"`     // that are still valid, at whoever issued them
}

// Remains tells what certificates of a token are still valid.
func (d *Desk) Remains(ctx context.Context, t token.Token) (r Remains, err error) {
	list, err := d.ValidCertificates(ctx, t)
	for _, c := range list {
		r.Certificates = append(r.Certificates, LiveCertificate{c.Slot, c.Number, cmp.Or(c.Issuer, c.Subject, "an issuer without a name"), c.Subject,
			c.NotAfter.UTC(), c.SelfSigned, c.SHA256, c.WhenLost()})
	}
	return r, err
}

// RemainsOf tells all of a token that was taken from its holder, and is what it is now; before are its credentials before. Only what nobody
// holds, and may be handed out again, is to be wiped.
func (d *Desk) RemainsOf(ctx context.Context, t token.Token, before []token.Credential) (Remains, error) {
	r, err := d.Remains(ctx, t)
	if err != nil || t.State == token.Revoked { // with which all on it is
		return r, err
	}
	now, err := d.Store.Credentials(ctx, t.ID)
	if err != nil {
		return r, err
	}
	accounts := false
	for _, c := range now {
		if c.Settings.Account == "" {
			continue
		}
		accounts = true
		was := slices.IndexFunc(before, func(b token.Credential) bool { return b.ID == c.ID })
		if c.State == token.Revoked && was >= 0 && before[was].State != token.Revoked {
			r.Revoked = append(r.Revoked, c.Settings.Account)
		}
	}
	if t.Serial == 0 || t.Holder != nil {
		return r, nil
	}
	kept, err := d.Store.Escrowed(ctx, t.Serial)
	if accounts || slices.Contains(kept, token.OATHPassword) {
		r.Wipe = append(r.Wipe, WipeOATH)
	}
	if len(r.Certificates) > 0 || slices.Contains(kept, token.PIVPIN) {
		r.Wipe = append(r.Wipe, WipePIV)
	}
	return r, err
}
