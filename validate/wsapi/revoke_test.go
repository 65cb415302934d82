package wsapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// switchboard is a store of which blocks are noted; an undo works as long as late is false.
type switchboard struct {
	*faults
	blocks []desk.Block
	actors []string
	late   bool
}

func (b *switchboard) Block(ctx context.Context, id token.ID, block desk.Block) (desk.Effects, error) {
	b.blocks, b.actors = append(b.blocks, block), append(b.actors, token.Actor(ctx, ""))
	return desk.Effects{}, b.store().Change(token.CredentialID(id), token.Lose)
}

func (b *switchboard) Undo(ctx context.Context, id token.ID) error {
	b.actors = append(b.actors, token.Actor(ctx, ""))
	if b.late {
		return &desk.UndoError{Cause: "too late"}
	}
	return b.store().Change(token.CredentialID(id), token.Undo)
}

func (b *switchboard) store() interface {
	Change(token.CredentialID, token.Event) error
} {
	return b.Store
}

func revoker(t testing.TB) (*site, *wsapi.Revoke, *switchboard, *told) {
	t.Helper()
	s, o := newSite(t), new(told)
	b := &switchboard{faults: s.faults}
	return s, &wsapi.Revoke{Store: b, From: prefixes("192.0.2.7/32"), Now: func() time.Time { return clock() }, Observer: o}, b, o
}

// TestRevokeAnswers are the answers of reference validation-protocol.md §11.
func TestRevokeAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, query, want string
		change            []func(*http.Request)
		setup             func(*site)
	}{
		{"disable", "yk=vvcccccccccb&do=disable", "OK Processed vvcccccccccb with disable", nil, nil},
		{"disable again", "yk=vvcccccccccb&do=disable", "OK Processed vvcccccccccb with disable", nil, block},
		{"enable what is enabled", "yk=vvcccccccccb&do=enable", "OK Processed vvcccccccccb with enable", nil, nil},
		{"unlisted", "yk=vvcccccccccb&do=disable", "ERROR Authorization failed (logged 192.0.2.8)", []func(*http.Request){from("192.0.2.8:1")}, nil},
		{"from a page", "yk=vvcccccccccb&do=disable", "ERROR Authorization failed (logged 192.0.2.7)", []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, nil},
		{"from a form", "yk=vvcccccccccb&do=disable", "ERROR Authorization failed (logged 192.0.2.7)", []func(*http.Request){header("Origin", "https://x.example")}, nil},
		{"nothing", "", "ERROR Missing parameter", nil, nil},
		{"no do", "yk=vvcccccccccb", "ERROR Missing parameter", nil, nil},
		{"no yk", "do=disable", "ERROR Missing parameter", nil, nil},
		{"yk twice", "yk=vvcccccccccb&yk=vvcccccccccb&do=disable", "ERROR Missing parameter", nil, nil},
		{"not ModHex", "yk=vvcccccccccA&do=disable", "ERROR Unknown yk value: vvcccccccccA", nil, nil},
		{"of 17", "yk=" + strings.Repeat("c", 17) + "&do=disable", "ERROR Unknown yk value: cccccccccccccccc", nil, nil},
		{"hostile", "yk=%0AOK%3Cb%3E%ff&do=disable", "ERROR Unknown yk value: ?OK<b>?", nil, nil},
		{"unknown", "yk=cccccccccccc&do=disable", "ERROR Unknown yubikey: cccccccccccc", nil, nil},
		{"odd", "yk=vvccccccccc&do=disable", "ERROR Unknown yubikey: vvccccccccc", nil, nil},
		{"all", "yk=vvcccccccccb&do=destroy", "ERROR Unknown do value: destroy", nil, nil},
		{"store gone", "yk=vvcccccccccb&do=disable", "ERROR Database connect error", nil, func(s *site) { s.faults.find = errGone }},
	} {
		s, h, b, o := revoker(t)
		if tc.setup != nil {
			tc.setup(s)
		}
		code, got := line(t, h, "/wsapi/revoke?"+tc.query, tc.change...)
		if code != http.StatusOK || got != tc.want {
			t.Errorf("%s: %d %q, want %q", tc.name, code, got, tc.want)
		}
		if !strings.HasPrefix(tc.want, "OK") && len(b.actors) > 0 {
			t.Errorf("%s: something was done", tc.name)
		}
		if a := o.last(t); a.Door != validate.DoorRevoke || !strings.HasPrefix(got, a.Outcome) || a.Outcome == "" {
			t.Errorf("%s: event %+v", tc.name, a)
		}
	}
}

// TestRevokeAndBack: disable counts at once; enable takes back what this door did, and nothing else.
func TestRevokeAndBack(t *testing.T) {
	t.Parallel()
	s, h, b, _ := revoker(t)
	var settled []token.ID
	h.Settle = func(id token.ID) { settled = append(settled, id) }
	base := serve(t, s.handler)
	ask := func(do, want string) {
		t.Helper()
		if _, got := line(t, h, "/wsapi/revoke?yk=vvcccccccccb&do="+do); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", do, got, want)
		}
	}
	ask("disable", "OK Processed")
	if got := get(t, base+fill(t, good)); got.value["status"] != bad {
		t.Errorf("disabled: %v", got.value)
	}
	ask("disable", "OK Processed")
	b.late = true
	ask("enable", "ERROR Not enabled: prove vvcccccccccb with a fresh OTP")
	b.late = false
	ask("enable", "OK Processed")
	if got := get(t, base+"id=1&nonce="+nonce+"&otp="+press(t, 6, 0)); got.value["status"] != yes {
		t.Errorf("enabled: %v", got.value)
	}
	if len(b.blocks) != 1 || b.blocks[0].Reason != token.ReasonLost || !strings.Contains(b.blocks[0].Note, "192.0.2.7") || len(settled) != 2 {
		t.Errorf("blocks %+v, settled %v", b.blocks, settled)
	}
	for _, actor := range b.actors {
		if actor != "wsapi/revoke" {
			t.Errorf("actor %q", actor)
		}
	}
}
