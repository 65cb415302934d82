package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
)

// TestCredentialTellsAccount: a credential in a key's OATH application is told by the name that the key has for it, any other has none.
func TestCredentialTellsAccount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		settings token.Settings
		want     string
	}{
		{token.Settings{Account: "60/Example Ltd:ada", Issuer: "Example Ltd"}, `"account":"60/Example Ltd:ada","issuer":"Example Ltd"`},
		{token.Settings{Issuer: "Example Ltd"}, `"kind":"totp","issuer":"Example Ltd"`},
		{token.Settings{}, `"kind":"totp","state"`},
	} {
		got, err := json.Marshal(viewCredential(token.Credential{Kind: token.TOTP, Settings: c.settings}))
		if err != nil || !strings.Contains(string(got), c.want) {
			t.Errorf("%v, %s, want %s", err, got, c.want)
		}
	}
}
