package main

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/token"
)

// receiptOptions are the flags of provision receipt.
type receiptOptions struct {
	pdf, size, language, template, templates string
}

func newReceiptCmd(a *app) *cobra.Command {
	var o receiptOptions
	cmd := &cobra.Command{
		Use: "receipt QUERY|NUMBER|CODE", Short: "Print a receipt again, or check the one that is at hand", Args: args(1, 1, "QUERY"),
		Long: `Print the newest receipt of a token again, or the one with a number, such as R-17: as text, or into a new file with --pdf. It is
marked as a copy and holds no secret. Accounts and certificates are those that the key got until somebody else got it, also what was
added later.

With the code of a receipt, as a scanner types it, the audit checkpoint that is on the paper is compared with the store's: if they
differ, one of the two was changed since.`,
		Example: `  tokendesk provision receipt 20411733
  tokendesk provision receipt R-17 --pdf copy.pdf --language de`,
		ValidArgsFunction: a.tokenWords,
		RunE:              func(cmd *cobra.Command, given []string) error { return a.printAgain(cmd.Context(), given[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.pdf, "pdf", "", "PDF file to make instead of text")
	f.StringVar(&o.size, "size", "", strings.Join(sizes(), ", ")+" (default the site's)")
	f.StringVar(&o.language, "language", "", "de or en (default the site's)")
	f.StringVar(&o.template, "receipt", "", "name of the receipt's template (default the usual one)")
	f.StringVar(&o.templates, "templates", "", "directory with this site's templates")
	complete(cmd, "size", sizes()...)
	complete(cmd, "language", paper.Languages()...)
	return cmd
}

func (a *app) printAgain(ctx context.Context, query string, o receiptOptions) error {
	size, err := checkSize(o.size)
	if err != nil {
		return err
	}
	if a.format != "table" {
		return usagef("provision receipt prints text or, with --pdf, a PDF").hint("as data: tokendesk token receipts -o %s", a.format)
	}
	if o.language != "" && !slices.Contains(paper.Languages(), o.language) {
		return usagef("--language is %s", strings.Join(paper.Languages(), " or "))
	}
	press, err := openPress(o.templates)
	if err != nil {
		return err
	}
	if err := press.Known(o.template, "", ""); err != nil {
		return usagef("%s", oneLine(err)).hint("see: tokendesk provision template list")
	}
	if o.pdf != "" {
		if err := checkOut("--pdf", o.pdf); err != nil {
			return err
		}
	}
	scan := press.Scan(query)
	return a.withDesk(ctx, func(d *desk.Desk) error {
		kept, err := findReceipt(ctx, d, query, scan)
		if err != nil {
			return err
		}
		if scan.Kind == paper.ScanReceipt {
			if err := a.compareReceipt(kept, scan); err != nil {
				return err
			}
		}
		r := onPaper(kept)
		if _, creds, err := d.Show(ctx, desk.ByID(kept.Token)); err == nil {
			r.Token.Kind = kindOf(creds, kept)
		}
		if err := addBeside(ctx, d.Store, kept, &r); err != nil {
			return err
		}
		r.Copy, r.Language, r.Template = true, o.language, o.template
		if o.pdf == "" {
			return press.Text(a.stdout, r, size)
		}
		if err := makeFile(o.pdf, func(w io.Writer) error { return press.PDF(w, r, size) }); err != nil {
			return err
		}
		a.say("copy of receipt %s made: %s", printable(kept.Ref()), printable(o.pdf))
		return nil
	})
}

// findReceipt finds a receipt by its number, or the newest of a token.
func findReceipt(ctx context.Context, d *desk.Desk, query string, scan paper.Scan) (token.Receipt, error) {
	if scan.Kind == paper.ScanReceipt {
		query = scan.Value
	}
	if station, number, ok := parseReceiptNumber(query); ok {
		all, err := d.Receipts(ctx, desk.ReceiptFilter{Number: number}, 0)
		if err != nil {
			return token.Receipt{}, err
		}
		for _, r := range all {
			if !strings.EqualFold(r.Station, station) {
				continue
			}
			if t, err := d.Find(ctx, query); err == nil && t.ID != r.Token && scan.Kind != paper.ScanReceipt {
				return r, problemf(exitAmbiguous, "%s is the number of a receipt and the stock number of %s", printable(query), desk.Name(t)).
					hint("name the token by its serial number, or scan the receipt's code")
			}
			return r, nil
		}
		if scan.Kind == paper.ScanReceipt {
			return token.Receipt{}, problemf(exitVerify, "the store knows of no receipt with this number: it is of another store, or the paper is not genuine")
		}
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Receipt{}, queryProblem(err)
	}
	r, err := d.ReceiptOf(ctx, t.ID)
	if errors.Is(err, token.ErrNotFound) {
		return r, problemf(exitNotFound, "%s was never handed over with an identity check", desk.Name(t))
	}
	return r, err
}

// parseReceiptNumber reads what token.Receipt.Ref writes.
func parseReceiptNumber(s string) (station string, number int64, ok bool) {
	m := regexp.MustCompile(`^[Rr]-(?:(.+)-)?([1-9][0-9]{0,17})$`).FindStringSubmatch(s)
	if m == nil {
		return "", 0, false
	}
	number, err := strconv.ParseInt(m[2], 10, 64)
	return m[1], number, err == nil
}

// compareReceipt holds the checkpoint on the paper against the store's. A receipt that was made without network may have another in the
// store: there it is the event that brought it in.
func (a *app) compareReceipt(kept token.Receipt, scan paper.Scan) error {
	if scan.Checkpoint.Seq == kept.Checkpoint && strings.EqualFold(scan.Checkpoint.Hash, kept.Hash) {
		a.say("the checkpoint on receipt %s is the store's: event %d", printable(kept.Ref()), kept.Checkpoint)
		return nil
	}
	if kept.Station != "" {
		a.say("receipt %s was made without a connection: its checkpoint is not compared; the store took it in by event %d", printable(kept.Ref()), kept.Checkpoint)
		return nil
	}
	return problemf(exitVerify, "the checkpoint on the paper is not the one that the store keeps of receipt %s", printable(kept.Ref())).
		hint("the paper or the store was changed since: tokendesk audit verify")
}

// onPaper is a receipt as the store keeps it.
func onPaper(r token.Receipt) paper.Receipt {
	out := paper.Receipt{
		Number: r.Ref(), Name: r.Name, Account: r.Account, Replaces: r.Replaces, Issued: r.At.Local(), By: r.Operator, IDCheck: r.IDCheck,
		Checkpoint: paper.Checkpoint{Seq: r.Checkpoint, Hash: r.Hash}, Pending: r.Pending,
		Token: paper.Subject{Serial: r.Serial, Label: r.Label, StockNumber: r.Stock, PublicID: r.PublicID.String(), Slot: r.Slot},
	}
	if r.Serial != 0 {
		out.Token.Model = "YubiKey"
	}
	if r.Kind == token.Posted {
		out.Way = paper.Shipped
	}
	return out
}

// kindOf is the kind of the credential that was handed over.
func kindOf(creds []token.Credential, r token.Receipt) token.Kind {
	for _, c := range creds {
		if c.Slot == r.Slot && c.PublicID == r.PublicID {
			return c.Kind
		}
	}
	return ""
}
