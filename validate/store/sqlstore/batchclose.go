package sqlstore

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// ClosingBatch is what a manifest tells, as one transaction sees it.
type ClosingBatch struct {
	Batch     token.Batch
	Items     []token.BatchItem // open and done, by position
	Aside     []token.PutAside  // keys that were not written after all, each with its last reason
	Audit     audit.Head        // of the desk chain, signed
	Public    ed25519.PublicKey // by which signatures are checked
	Signature func(message []byte) []byte
}

// CloseBatch ends a batch and keeps the manifest that make writes, which may be called twice. token.ErrUnsettled while keys are
// uncertain, unless that is allowed; token.ErrBatchClosed.
func (s *Store) CloseBatch(ctx context.Context, id token.BatchID, uncertain bool, make func(ClosingBatch) (string, error)) (manifest string, err error) {
	err = s.change(ctx, func(tx *tx) error {
		c, err := tx.closing(ctx, id)
		switch {
		case err != nil:
			return err
		case !c.Batch.Open():
			return token.ErrBatchClosed
		case c.Batch.Uncertain > 0 && !uncertain:
			return token.ErrUnsettled
		}
		c.Batch.Ended = fromMicros(micros(tx.now))
		if manifest, err = make(c); err != nil {
			return err
		}
		if err := tx.one(token.ErrBatchClosed, `UPDATE batch SET ended = ?, manifest = ? WHERE id = ? AND ended = 0`, micros(tx.now), manifest, id); err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(manifest))
		return tx.desk("batch.close", batchObject(id), batchDetail{Done: c.Batch.Done, Uncertain: c.Batch.Uncertain, Aside: len(c.Aside), SHA256: hex.EncodeToString(sum[:])})
	})
	if err != nil {
		return "", fmt.Errorf("close batch %d: %w", id, translate(err))
	}
	return manifest, nil
}

// closing reads what the manifest tells.
func (t *tx) closing(ctx context.Context, id token.BatchID) (c ClosingBatch, err error) {
	c.Public, c.Signature = t.s.keys.Signing.Public(), t.s.keys.Signing.Sign
	if c.Batch, err = scanBatch(t.QueryRow(batchText+`WHERE b.id = ?`, id)); err != nil {
		return c, err
	}
	if c.Items, err = itemsIn(ctx, t, id); err != nil {
		return c, err
	}
	if c.Aside, err = asideIn(ctx, t, id, c.Items); err != nil {
		return c, err
	}
	if c.Audit, err = t.head(audit.Desk); err != nil {
		return c, err
	}
	c.Audit.Signature = t.s.keys.Signing.Sign(c.Audit.Message())
	return c, nil
}

// asideIn are the keys that were put aside and not written later, each with its last reason, in the order in which they came.
func asideIn(ctx context.Context, q querier, id token.BatchID, items []token.BatchItem) ([]token.PutAside, error) {
	all, err := collect(ctx, q, scanPutAside, `SELECT serial, port, reason, detail, at FROM put_aside WHERE batch = ? ORDER BY id`, id)
	if err != nil {
		return nil, err
	}
	var out []token.PutAside
	for n, p := range all {
		again := slices.ContainsFunc(all[n+1:], func(o token.PutAside) bool { return o.Serial == p.Serial && (p.Serial != 0 || o.Port == p.Port) })
		written := p.Serial != 0 && slices.ContainsFunc(items, func(i token.BatchItem) bool { return i.Serial == p.Serial && i.State == token.ItemDone })
		if !again && !written {
			out = append(out, p)
		}
	}
	return out, nil
}

func scanPutAside(row scanner) (token.PutAside, error) {
	var p token.PutAside
	var at int64
	err := row.Scan(&p.Serial, &p.Port, &p.Reason, &p.Detail, &at)
	p.At = fromMicros(at)
	return p, err
}

// Aside are the keys of a batch that were put aside and not written later, each with its last reason.
func (s *Store) Aside(ctx context.Context, id token.BatchID) (out []token.PutAside, err error) {
	err = s.readState(ctx, func(q querier) error {
		items, err := itemsIn(ctx, q, id)
		if err == nil {
			out, err = asideIn(ctx, q, id, items)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list what batch %d put aside: %w", id, translate(err))
	}
	return out, nil
}

// Manifest is that of a closed batch; "" while it is open, token.ErrNotFound.
func (s *Store) Manifest(ctx context.Context, id token.BatchID) (text string, err error) {
	if err = s.read.QueryRowContext(ctx, `SELECT manifest FROM batch WHERE id = ?`, id).Scan(&text); err != nil {
		return "", fmt.Errorf("read manifest of batch %d: %w", id, translate(err))
	}
	return text, nil
}
