//go:build cgo && !nopcsc

package pivhw

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// ykman reads what was written here.
func (h host) ykman(reader string) {
	ykman := h.judge("ykman")
	if ykman == nil {
		return
	}
	said := ykman("--reader", reader, "piv", "info")
	for _, want := range []string{"PIN tries remaining: 5/5", "Management key algorithm: AES192", "CHUID:\t3019d4e739da739ced39ce739d83685821", "CCC: \tf015a000000116ff02", "Slot 9a:", "Subject DN:\tCN=Ada"} {
		if !strings.Contains(said, want) {
			h.Errorf("ykman does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "WARNING") {
		h.Errorf("ykman warns:\n%s", said)
	}
}

// tool has yubico-piv-tool read what was written here, generate a key that is certified here, and test that. Debian's version cannot use AES as a
// management key, and signs no certificates by itself.
func (h host) tool(reader string) {
	tool := h.judge("yubico-piv-tool")
	if tool == nil {
		return
	}
	reader = "--reader=" + strings.TrimSuffix(reader, " 00 00")
	said := tool(reader, "--action=status")
	for _, want := range []string{"CHUID:\t3019d4e739da", "CCC:\tf015a000000116ff02", "PIN tries left:\t5", "Subject DN:\tCN=Ada"} {
		if !strings.Contains(said, want) {
			h.Errorf("yubico-piv-tool does not say %q:\n%s", want, said)
		}
	}
	file := filepath.Join(h.TempDir(), "pem")
	tool(reader, "--key="+hex.EncodeToString([]byte(h.store.text(token.PIVManagementKey))), "--action=generate", "--slot=9e", "--algorithm=ECCP384", "--output="+file)
	card := open(h.T, h.card.Reader())
	f, err := card.Facts(h.Context())
	h.must(err)
	k := f.Slot(piv.CardAuthentication)
	if k.Algorithm != piv.P384 || k.Generated != piv.Yes || k.PIN != piv.PINNever || k.Object {
		h.Errorf("what yubico-piv-tool generated: %+v", k)
	}
	var cert *x509.Certificate
	h.costs("a certificate of a key without PIN", 0, 0, func() (err error) {
		cert, err = h.r.SelfSign(h.Context(), card, piv.CertificateSpec{Slot: piv.CardAuthentication, Valid: time.Hour})
		return err
	})
	h.must(card.Close())
	h.must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600))
	if said := tool(reader, "--action=test-signature", "--slot=9e", "--input="+file); !strings.Contains(said, "Successful ECDSA verification") {
		h.Errorf("yubico-piv-tool says %q", said)
	}
}

// judge runs a program of Debian's; nil: it is not there.
func (h host) judge(name string) func(args ...string) string {
	h.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			h.Error(err)
		}
		return nil
	}
	home := h.TempDir()
	return func(args ...string) string {
		h.Helper()
		ctx, cancel := context.WithTimeout(h.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home)
		said, err := cmd.CombinedOutput()
		if err != nil {
			h.Errorf("%s: %v\n%s", name, err, said) // not its arguments: they are secrets
		}
		return string(said)
	}
}
