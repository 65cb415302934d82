package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/token"
)

// fakeBeside is a store of one key.
type fakeBeside struct {
	receipts []token.Receipt
	creds    []token.Credential
	certs    []token.Certificate
	history  []desk.Happened
}

func (f fakeBeside) Receipts(context.Context, desk.ReceiptFilter, int) ([]token.Receipt, error) {
	return f.receipts, nil
}
func (f fakeBeside) Credentials(context.Context, token.ID) ([]token.Credential, error) {
	return f.creds, nil
}
func (f fakeBeside) Certificates(context.Context, token.Serial) ([]token.Certificate, error) {
	return f.certs, nil
}
func (f fakeBeside) History(context.Context, token.ID, int) ([]desk.Happened, error) {
	return f.history, nil
}

// TestReceiptBesideWithout: somebody else may get a key without a receipt, or nobody.
func TestReceiptBesideWithout(t *testing.T) {
	t.Parallel()
	hour := func(n int) time.Time { return time.Unix(int64(n)*3600, 0) }
	kept := token.Receipt{Number: 1, At: hour(10), Account: "ada", Serial: 7}
	st := fakeBeside{
		receipts: []token.Receipt{kept},
		creds: []token.Credential{
			{State: token.Active, Created: hour(11), Settings: token.Settings{Account: "ada"}}, {State: token.Active, Created: hour(12), Settings: token.Settings{Account: "other"}},
		},
		certs: []token.Certificate{{Slot: "9a", Subject: "CN=other", Seen: hour(14)}, {Slot: "9c", Subject: "CN=ada", Seen: hour(11)}},
	}
	happened := func(at int, action, detail string) desk.Happened {
		return desk.Happened{At: hour(at), Action: action, Detail: detail}
	}
	for name, x := range map[string]struct {
		newestFirst []desk.Happened
		want        string
	}{
		"hers still":        {[]desk.Happened{happened(13, "ledger.commit", `{"entry":2,"account":"ada"}`), happened(12, "ledger.reserve", `{"entry":2,"holder":1}`), happened(9, "token.return", `{"account":"old"}`)}, "[ada other] 9a 9c"},
		"written for other": {[]desk.Happened{happened(13, "ledger.commit", `{"entry":2,"account":"other"}`), happened(12, "ledger.reserve", `{"entry":2,"holder":2}`), happened(10, "ledger.commit", `{"entry":1,"account":"ada"}`)}, "[ada] 9c"},
		"PIV for other":     {[]desk.Happened{happened(13, "piv.handover", `{"account":"other"}`)}, "[ada other] 9c"},
		"taken back":        {[]desk.Happened{happened(12, "token.return", `{"account":"ada"}`)}, "[ada] 9c"},
	} {
		st.history = x.newestFirst
		var r paper.Receipt
		err := addBeside(t.Context(), st, kept, &r)
		got := fmt.Sprint(r.Accounts)
		for _, c := range r.Certificates {
			got += " " + c.Slot
		}
		if err != nil || got != x.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, x.want)
		}
	}
}

// TestReceiptBeside: a receipt names what its key got while its person had it, and no other person's.
func TestReceiptBeside(t *testing.T) {
	t.Parallel()
	hour := func(n int) time.Time { return time.Unix(int64(n)*3600, 0) }
	account := func(id string, created int, proven bool, s token.State) token.Credential {
		c := token.Credential{State: s, Created: hour(created), Settings: token.Settings{Account: id}}
		if proven {
			c.ProvenAt = hour(created)
		}
		return c
	}
	st := fakeBeside{
		receipts: []token.Receipt{{Number: 2, At: hour(20), Serial: 7}, {Number: 1, At: hour(10), Serial: 7}},
		creds: []token.Credential{
			{State: token.Active, Slot: 2, Created: hour(1)}, account("stock", 5, false, token.Active), account("tested", 6, true, token.Revoked), account("ada", 10, true, token.Revoked),
			account("elsewhere", 11, false, token.Revoked), account("later", 12, true, token.Revoked), account("bob", 20, true, token.Active),
			account("bob", 21, true, token.Revoked), account("deleted", 22, true, token.Revoked), account("open", 23, false, token.Pending),
		},
		certs: []token.Certificate{
			{Slot: "9a", Subject: "CN=bob", Seen: hour(20)}, {Slot: "9a", Subject: "CN=ada", Seen: hour(11), Gone: hour(19)}, {Slot: "9a", Subject: "CN=old", Seen: hour(10), Gone: hour(11)},
			{Slot: "9c", Subject: "CN=left", Seen: hour(3)}, {Slot: "9e", Subject: "CN=gone", Seen: hour(3), Gone: hour(4)},
		},
	}
	for i, want := range []string{"[stock bob deleted] 9a CN=bob 9c CN=left", "[ada later] 9a CN=ada"} {
		var r paper.Receipt
		err := addBeside(t.Context(), st, st.receipts[i], &r)
		got := fmt.Sprint(r.Accounts)
		for _, c := range r.Certificates {
			got += " " + c.Slot + " " + c.Subject
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", st.receipts[i].Ref(), got, err, want)
		}
	}
}
