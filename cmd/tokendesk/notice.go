package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/mail"
)

func newNoticeCmd(a *app) *cobra.Command {
	return group("notice", "Tell persons by mail what was done in their name", newNoticeListCmd(a), newNoticeSendCmd(a))
}

// noticeRow is a notice as notice list shows it.
type noticeRow struct {
	ID       int64           `json:"id"`
	Account  string          `json:"account"`
	Kind     desk.NoticeKind `json:"kind"`
	Created  time.Time       `json:"created"`
	Sent     *time.Time      `json:"sent,omitempty"`
	Attempts int             `json:"attempts"`
	Error    string          `json:"error,omitempty"`
}

func noticeOf(n desk.Notice) noticeRow {
	r := noticeRow{n.ID, n.To.Account, n.Kind, n.Created, nil, n.Attempts, n.Error}
	switch {
	case !n.Sent.IsZero():
		r.Sent = &n.Sent
	case n.To.Mail == "":
		r.Error = "the person has no mail address"
	}
	return r
}

func newNoticeListCmd(a *app) *cobra.Command {
	var waiting bool
	cmd := &cobra.Command{
		Use: "list", Short: "List what persons were told, or are to be told", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				all, err := d.Notices(cmd.Context(), waiting)
				if err != nil {
					return err
				}
				rows := make([]noticeRow, len(all))
				for i, n := range all {
					rows[i] = noticeOf(n)
				}
				return list(a, "notices", rows, []column[noticeRow]{
					{"ID", func(r noticeRow) string { return strconv.FormatInt(r.ID, 10) }},
					{"Account", func(r noticeRow) string { return r.Account }},
					{"Kind", func(r noticeRow) string { return string(r.Kind) }},
					{"Made", func(r noticeRow) string { return a.when(r.Created) }},
					{"Sent", func(r noticeRow) string {
						if r.Sent == nil {
							return ""
						}
						return a.when(*r.Sent)
					}},
					{"Attempts", func(r noticeRow) string { return strconv.Itoa(r.Attempts) }},
					{"Error", func(r noticeRow) string { return r.Error }},
				})
			})
		},
	}
	cmd.Flags().BoolVar(&waiting, "waiting", false, "only those that were not sent")
	return cmd
}

// noticeOptions are the flags of notice send.
type noticeOptions struct {
	smtp, spool, from, language string
	startTLS                    bool
}

func newNoticeSendCmd(a *app) *cobra.Command {
	var o noticeOptions
	cmd := &cobra.Command{
		Use: "send", Short: "Send the notices that wait, by SMTP or into a spool directory", Args: args(0, 0, ""),
		Long: `Send the notices that wait to the persons' mail addresses. They hold no code, no link and no secret.

Each is sent at least once: when this program is killed between sending a notice and writing that down, it is sent again, ten
minutes later at the earliest and with the same Message-ID. What fails is tried again by later calls, after a minute and then ever more
seldom, for a week. Run this every minute or so.`,
		Example: "  tokendesk notice send --smtp relay.example.org:25 --starttls --from desk@example.org --lang de\n  tokendesk notice send --spool /var/spool/tokendesk --from desk@example.org",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error { return a.sendNotices(cmd.Context(), d, o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.smtp, "smtp", "", "mail relay, HOST:PORT")
	f.BoolVar(&o.startTLS, "starttls", false, "speak to the relay by TLS only, and check its certificate")
	f.StringVar(&o.spool, "spool", "", "directory that gets a file for each notice")
	f.StringVar(&o.from, "from", "", "mail address of the sender")
	f.StringVar(&o.language, "lang", "en", "language of the notices, de or en")
	complete(cmd, "lang", desk.Languages()...)
	return cmd
}

func (o noticeOptions) check() error {
	switch {
	case (o.smtp == "") == (o.spool == ""):
		return usagef("notice send: either --smtp or --spool")
	case o.spool != "" && o.startTLS:
		return usagef("--starttls goes with --smtp")
	case mail.CheckFrom(o.from) != nil:
		return usagef("--from: a mail address is needed")
	case !slices.Contains(desk.Languages(), o.language):
		return usagef("--lang: de and en are possible")
	}
	return nil
}

// sendNotices sends what waits, and fails if something was not sent.
func (a *app) sendNotices(ctx context.Context, d *desk.Desk, o noticeOptions) (err error) {
	var s desk.Sender = mail.Spool{Dir: o.spool, From: o.from}
	if o.smtp != "" {
		r := mail.Relay{Address: o.smtp, From: o.from}
		if host, _, err := net.SplitHostPort(o.smtp); err == nil && o.startTLS {
			r.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
		}
		relay, err := mail.NewSMTP(r)
		if err != nil {
			return usagef("--smtp: %s", err)
		}
		defer func() { _ = relay.Close() }() // what was taken is written down already
		s = relay
	}
	done, err := d.SendNotices(ctx, s, o.language)
	a.say("%s sent, %d failed", count(done.Sent, "notice"), done.Failed)
	switch {
	case errors.Is(err, desk.ErrUnreachable):
		return problemf(exitError, "%s", oneLine(err)).hint("the notices wait; see: tokendesk notice list --waiting")
	case err != nil:
		return err
	case done.Failed > 0:
		return problemf(exitError, "%s not sent", count(done.Failed, "notice")).hint("see why: tokendesk notice list --waiting")
	}
	return nil
}
