package desk

import (
	"context"
	"slices"

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
