package validate

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Credential is what deciding about one Yubico OTP needs. The cipher, which compares the private ID too, belongs to the
// store: it stays valid until the store is closed, is shared between goroutines, and must not be destroyed by the caller.
type Credential struct {
	ID       token.CredentialID
	Token    token.ID
	PublicID token.PublicID
	Cipher   yubiotp.Cipher
	Row      Row
	Holder   token.PersonID // of the token; 0: nobody
	Groups   []string       // of the person who holds the token, sorted
}

// Row is the guarded row as it was read. Enabled false means that nothing is accepted: the token is blocked, the
// credential revoked or not written yet, a write of its slot is unsettled, or its counters are not trusted.
type Row struct {
	Enabled  bool
	Caution  int         // above 0 after a backup was put back: see Counters.Spend
	State    token.State // the credential's own
	Token    token.State // its token's
	Counters token.Counters
}

// Advance is one OTP as the store sees it: what it presents and the event to write. In Accept it asks for the one statement
// that decides.
type Advance struct {
	Credential token.CredentialID
	Use        int // 15 bits; -1, as Session, in a Note about an OTP that did not open
	Session    int // 8 bits
	Timestamp  int // 24 bits
	Nonce      string
	Proven     bool        // credential and token were active already
	Kept       Generation  // not 0: what the decision rests on was kept in memory since then
	Moving     int64       // of a HOTP or TOTP code, for which Use and Session are -1
	Clock      token.Clock // of a TOTP token, as it was learned; written where a code is accepted
	At         time.Time
	Event      Event // written to the audit chain in the same transaction
}

// Event is one decision for the audit chain. It holds no OTP, no code and no secret.
type Event struct {
	Client   int64 // 0: none
	Source   string
	PublicID token.PublicID
	Kind     string         // of what a Checker decided about: as in Checked
	Person   token.PersonID // whom a Checker was asked about; 0: nobody or unknown
	Token    token.ID       // the same; 0: none
	Result   string         // the protocol's status, such as "OK" or "BAD_OTP"
	Reason   Reason
	Signed   bool
}

// Generation rises, from 1 on, with each change of a store by its staff: of clients, persons, tokens and credentials. What was read at one
// generation is what is stored, but for counters, as long as it is the store's.
type Generation uint64

// Keeper is a part of Counters and Clients that some stores have: what they read before, from memory. It serves for nothing but to
// accept: Accept refuses what rests on another generation than that of its own transaction, so nothing that staff changed
// is overlooked by any server. Before anything else is answered, all is read anew.
type Keeper interface {
	// KeptCredential is what Find returned lately, with the counters of this process's last Accept. Generation 0: it is not kept.
	KeptCredential(id token.PublicID) (Credential, Generation)
	// KeptClient is what Client returned lately.
	KeptClient(id int64) (Client, Generation)
}

// Counters is the part of a store that decides. All methods may be called from any number of goroutines and processes.
type Counters interface {
	// Find returns the live credential with this public ID: not revoked, Yubico OTP. token.ErrNotFound if there is none.
	Find(ctx context.Context, id token.PublicID) (Credential, error)
	// Accept raises the counters if the row is enabled and they are lower, in one guarded statement, and makes it durable
	// before it returns. A credential that was programmed becomes active by it. False: no row was changed and nothing
	// was written, because of the row or of Kept; read again to learn why.
	Accept(ctx context.Context, a Advance) (bool, error)
	// Spend raises the counters of a row that is not enabled, and accepts nothing: what was pressed while a token is blocked
	// stays dead afterwards. Where it raises, the stored nonce becomes empty, because nothing was accepted. It changes nothing in
	// an enabled row. It writes the event whether or not a counter was raised.
	//
	// Where the event's reason is ReasonCautious and nothing but Caution keeps the row from being enabled, an OTP that raises it takes
	// Caution from 2 to 1, and to 0 if it Pairs with the one before it. At 0 the row is enabled: the next OTP is accepted.
	Spend(ctx context.Context, a Advance) error
	// Note writes the event of a decision that changed no counter. Only decisions about known credentials are noted.
	Note(ctx context.Context, a Advance) error
}
