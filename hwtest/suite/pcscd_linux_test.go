//go:build cgo && !nopcsc

package suite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/suite"
	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
)

// TestPCSCD runs the suite over Debian's pcscd. It is not parallel: where pcscd is, is the environment's to say, and libpcsclite reads it once in a
// process.
func TestPCSCD(t *testing.T) {
	if testing.Short() {
		t.Skip("pcscd looks for cards twice a second")
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprint("suite", os.Getpid())) // the same each time with -count; short, as of a socket
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
	d, err := vpcd.Start(t.Context(), dir, k)
	if errors.Is(err, vpcd.ErrMissing) && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	t.Setenv("PCSCLITE_CSOCK_NAME", d.Socket)
	if err := suite.WaitReader(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	target := onCard(k, suite.OpenReader)
	target.Unplug = func(ctx context.Context) error { k.Unplug(); return nil }
	target.Plug = func(ctx context.Context) error {
		if err := suite.WaitReader(ctx, false); err != nil {
			return err
		}
		k.Plug()
		return suite.WaitReader(ctx, true)
	}
	suite.Run(t, target)
}
