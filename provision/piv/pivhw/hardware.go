//go:build (cgo || windows) && !nopcsc

package pivhw

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/provision/piv"
)

// Available says whether this build has PIV.
const Available = true

// Card is the PIV application of a key that is held.
type Card struct{ piv.Card }

// Open holds the card in a reader. Errors wrap those of pcsc.Service.Open, or piv.ErrNoApplet. The caller closes the card.
func Open(ctx context.Context, readers *pcsc.Service, reader string) (*Card, error) {
	return nil, errors.ErrUnsupported
}
