//go:build (cgo || windows) && !nopcsc

package pivhw

import (
	"context"
	"errors"
	"os"
	"testing"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/provision/piv"
)

// TestGivenUp: what piv-go does not come back from is given up; where it panics that is an error, and the management key is cleared after both.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	c := &Card{readers: pcsc.System(), reader: "R", lib: &pivgo.YubiKey{}}
	management := secret.Copy([]byte("0123456789abcdef"))
	var seen []byte
	_, err := theirs(t.Context(), c, management, func(_ *pivgo.YubiKey, key []byte) (int, error) {
		seen = key
		return int([]byte(nil)[len(key)]), nil // as on a metadata answer of two bytes
	})
	if !errors.Is(err, piv.ErrProtocol) {
		t.Errorf("a panic: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	began, end := make(chan struct{}), make(chan struct{})
	go func() {
		<-began
		cancel()
	}()
	err = c.do(ctx, func(*pivgo.YubiKey) error {
		close(began)
		<-end
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if err := c.VerifyPIN(t.Context(), piv.DefaultPIN()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after it was given up: %v", err)
	}
	close(end)
	<-c.busy
	if string(seen) == string(management.Reveal()) || len(seen) != management.Len() {
		t.Error("the management key is still in memory")
	}
}
