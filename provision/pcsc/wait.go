package pcsc

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Wait is the patience of Open for those who hold a card by other means: it calls try until its error does not wrap usbhid.ErrBusy any
// more, for three seconds; then it fails with a *HeldError. A try that does not come back is not given up.
func (s *Service) Wait(ctx context.Context, reader string, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		switch {
		case !errors.Is(err, usbhid.ErrBusy):
			return err
		case n == heldTries:
			return Held(reader)
		}
		if err := s.pause(ctx, heldPause); err != nil {
			return err
		}
	}
}
