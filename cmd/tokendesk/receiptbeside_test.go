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
