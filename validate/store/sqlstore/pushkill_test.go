package sqlstore

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/push/privacyidea"
	"github.com/tokendesk/tokendesk/keyfile/push/pushtest"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// pushVariable makes the test binary a process that pushes and settles: its value is the store's directory.
const pushVariable = "TOKENDESK_TEST_PUSH"

func connectPlain(s push.Server, credential secret.Bytes) (push.Target, error) {
	t, err := privacyidea.New(s, credential, nil)
	return push.Patient{Target: t, Pause: push.Sleep}, err
}

func pushChild(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, dir, loadKeys(dir), options())
	if err != nil {
		return err
	}
	defer s.Close()
	d := desk.Desk{Store: s, Now: time.Now}
	_, all, err := d.Push(ctx, connectPlain, "pi")
	if err != nil {
		return err
	}
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	for _, err := range d.Settle(ctx, connectPlain) {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestKilledPush kills a process that pushes or disables with kill -9, while the server has the request: before and after it was
// carried out. The next process finishes: the token was made once, and is disabled after the block.
func TestKilledPush(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the child trusts the double by SSL_CERT_FILE")
	}
	double := pushtest.NewPrivacyIDEA(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: double.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s, p := makeStore(t)
	d := desk.Desk{Store: s, Now: time.Now}
	_, err := d.AddTarget(t.Context(), push.Server{Name: "pi", Kind: push.PrivacyIDEA, URL: double.URL, Account: pushtest.Account}, secret.Copy([]byte(pushtest.Password)))
	if err != nil {
		t.Fatal(err)
	}
	run := func(path string, carriedOut bool) error {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), pushVariable+"="+p.dir, "SSL_CERT_FILE="+ca)
		cmd.Stderr = os.Stderr
		started := make(chan struct{})
		if path != "" {
			double.Fault(path, func(_ http.ResponseWriter, r *http.Request, process http.Handler) {
				if carriedOut {
					process.ServeHTTP(httptest.NewRecorder(), r)
				}
				<-started
				_ = cmd.Process.Kill()
				panic(http.ErrAbortHandler)
			})
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		close(started)
		return cmd.Wait()
	}
	harness := harness{s, s}
	for n, after := range []bool{false, true} {
		c := storetest.Sample(n+1, token.Active)
		id := harness.Add(t, c)
		serial := c.PublicID.String()
		for _, path := range []string{"POST /token/init", "POST /token/disable"} {
			if path == "POST /token/disable" {
				harness.Block(t, id)
			}
			if run(path, after) == nil {
				t.Errorf("%s: not killed", path)
			}
			if err := run("", false); err != nil {
				t.Errorf("%s, the next process: %v", path, err)
			}
			kept := double.Token(serial)
			if blocked := path == "POST /token/disable"; kept.Made != 1 || kept.Active == blocked {
				t.Errorf("%s, killed after %v: made %d times, active %v", path, after, kept.Made, kept.Active)
			}
		}
	}
	list, err := d.PushStatus(t.Context())
	if err != nil || len(list) != 2 || slices.ContainsFunc(list, func(p desk.Push) bool { return !p.Settled() }) {
		t.Errorf("%s, %v", fmt.Sprint(list), err)
	}
	verifyAudit(t, s)
}
