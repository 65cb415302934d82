package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// NoticeKind says what a notice tells its person.
type NoticeKind string

// The kinds of notices. They are written in the transaction of what they tell.
const (
	NoticeBlocked       NoticeKind = "blocked"
	NoticeRestored      NoticeKind = "restored"
	NoticeIssued        NoticeKind = "issued"
	NoticeShipped       NoticeKind = "shipped"
	NoticeTempCode      NoticeKind = "temp-code"
	NoticeRecoveryCodes NoticeKind = "recovery-codes"
	NoticeLink          NoticeKind = "link"
	NoticeActivated     NoticeKind = "activated"
	NoticeErased        NoticeKind = "erased" // parts of a token that stays the person's
	NoticeTaken         NoticeKind = "taken"  // a token, unless a code of it shows that it was given back
)

// Facts are what a notice tells. They never hold a secret, a code or a link.
type Facts struct {
	Token    string       `json:"token,omitempty"` // see Name
	Reason   token.Reason `json:"reason,omitempty"`
	By       string       `json:"by,omitempty"` // the actor
	Until    time.Time    `json:"until,omitzero"`
	Count    int          `json:"count,omitempty"` // of codes, or of uses of a temporary one
	Browsers int          `json:"browsers,omitempty"`
	Links    int          `json:"links,omitempty"`

	Slots        []token.Slot `json:"slots,omitempty"`        // that were erased
	Accounts     []string     `json:"accounts,omitempty"`     // of the OATH application, likewise
	Certificates []string     `json:"certificates,omitempty"` // PIV slots of those whose key is gone
}

// Notice tells a person what was done in its name.
type Notice struct {
	ID       int64
	To       token.Person
	Kind     NoticeKind
	Facts    Facts
	Created  time.Time
	Sent     time.Time // zero: not yet
	Attempts int
	Error    string // of the last attempt
}

// Notices keeps what persons are to be told.
type Notices interface {
	// Notices are all, or those that are not sent, by number.
	Notices(ctx context.Context, waiting bool) ([]Notice, error)
	// HoldNotice takes the first notice with a higher number than after that waits, was made since, and has an address, counts
	// the attempt, and keeps everybody else from taking it until then. token.ErrNotFound if there is none.
	HoldNotice(ctx context.Context, after int64, since, until time.Time) (Notice, error)
	// EndNotice says what became of the attempt: sent if failure is empty, otherwise it waits until then.
	EndNotice(ctx context.Context, id int64, failure string, until time.Time) error
}

// Sender sends messages. ErrUnreachable, wrapped, says that others would fail too.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Message is a notice as it is sent: plain text.
type Message struct {
	ID      string // the same whenever the same notice is sent
	To      string // address
	Name    string // of whom it is sent to; may be empty
	Subject string
	Body    string
	At      time.Time // of the notice
}

// ErrUnreachable is a way to send that is out of order as a whole.
var ErrUnreachable = errors.New("messages cannot be sent")

// The times of sending. A sender that was killed holds a notice for holdTime; a failed notice waits retryTime, twice as long each
// time, and at most maxRetryTime; after noticeTime nobody is told any more.
const (
	holdTime     = 10 * time.Minute
	retryTime    = time.Minute
	maxRetryTime = 6 * time.Hour
	noticeTime   = 7 * 24 * time.Hour
)

// maxFailure is the longest error that is kept, in bytes.
const maxFailure = 300

// Sending is what SendNotices did.
type Sending struct{ Sent, Failed int }

// SendNotices sends what waits, each at least once: where a process dies between sending and writing that down, it is sent again,
// with the same Message.ID. It does not happen otherwise, whatever number of processes send. language is "de" or "en". The error
// is the store's or the context's, or wraps ErrUnreachable; failures of single notices are kept with them.
func (d *Desk) SendNotices(ctx context.Context, s Sender, language string) (Sending, error) {
	var done Sending
	for last := int64(0); ; {
		now := d.Now()
		n, err := d.Store.HoldNotice(ctx, last, now.Add(-noticeTime), now.Add(holdTime))
		if errors.Is(err, token.ErrNotFound) {
			return done, nil
		}
		if err != nil {
			return done, err
		}
		last = n.ID
		subject, body := n.Text(language)
		sendErr := s.Send(ctx, Message{
			ID: fmt.Sprintf("notice.%d.%d", n.ID, n.Created.UnixMicro()), To: n.To.Mail, Name: n.To.Name, Subject: subject, Body: body, At: n.Created,
		})
		failure := ""
		if sendErr != nil {
			done.Failed++
			failure = sendErr.Error()
			failure = strings.ToValidUTF8(failure[:min(len(failure), maxFailure)], "") // a relay says what it likes
		} else {
			done.Sent++
		}
		wait := min(retryTime<<min(n.Attempts-1, 16), maxRetryTime)
		// What was sent is written down even if nobody waits any more.
		if err := d.Store.EndNotice(context.WithoutCancel(ctx), n.ID, failure, d.Now().Add(wait)); err != nil {
			return done, err
		}
		if errors.Is(sendErr, ErrUnreachable) {
			return done, sendErr
		}
		if err := ctx.Err(); err != nil {
			return done, err
		}
	}
}

// Notices are all, or those that were not sent yet.
func (d *Desk) Notices(ctx context.Context, waiting bool) ([]Notice, error) {
	return d.Store.Notices(ctx, waiting)
}
