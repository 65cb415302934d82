package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

// ReserveItem implements batch.Store.
func (s *Store) ReserveItem(ctx context.Context, id token.BatchID, r token.Reservation) (e token.Entry, item token.BatchItem, err error) {
	err = s.change(ctx, func(tx *tx) error {
		e, item, err = tx.reserveItem(ctx, id, r)
		return err
	})
	if err != nil {
		return token.Entry{}, token.BatchItem{}, fmt.Errorf("reserve slot %d of %d in batch %d: %w", r.Slot, r.Serial, id, translate(err))
	}
	return e, item, nil
}

func (t *tx) reserveItem(ctx context.Context, id token.BatchID, r token.Reservation) (e token.Entry, item token.BatchItem, err error) {
	b, err := scanBatch(t.QueryRow(batchText+`WHERE b.id = ?`, id))
	if err != nil {
		return e, item, err
	}
	if !b.Open() {
		return e, item, token.ErrBatchClosed
	}
	if b.Slot != r.Slot {
		return e, item, errors.New("a batch writes one slot")
	}
	position, err := t.freePosition(b)
	if err != nil {
		return e, item, err
	}
	if r.Proof = token.NoProof; b.Touched(position) {
		r.Proof = token.ByTouch
	}
	if e, err = t.reserve(ctx, r); err != nil {
		return e, item, err
	}
	number, text, err := t.stockNumber(b, position, e.Token)
	if err != nil {
		return e, item, err
	}
	_, err = t.Exec(`INSERT INTO batch_item (entry, batch, position, token, prefix, number, stock_number, state, started) VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?)`,
		e.ID, id, position, e.Token, b.StockPrefix, number, text, micros(t.now))
	if err != nil {
		return e, item, err
	}
	item, err = scanItem(t.QueryRow(itemText+`WHERE i.entry = ?`, e.ID))
	return e, item, err
}

// freePosition is the lowest one that no key has; token.ErrBatchFull.
func (t *tx) freePosition(b token.Batch) (int, error) {
	var taken, last int
	if err := t.QueryRow(`SELECT count(*), coalesce(max(position), 0) FROM batch_item WHERE batch = ? AND state <> 'void'`, b.ID).Scan(&taken, &last); err != nil {
		return 0, err
	}
	switch {
	case taken >= b.Wanted:
		return 0, token.ErrBatchFull
	case taken == last:
		return last + 1, nil
	}
	var free int
	err := t.QueryRow(`SELECT min(v.position) FROM batch_item v WHERE v.batch = ?1 AND v.state = 'void' AND NOT EXISTS
		(SELECT 1 FROM batch_item i WHERE i.batch = ?1 AND i.position = v.position AND i.state <> 'void')`, b.ID).Scan(&free)
	return free, err
}

// stockNumber is what the key will be called: as before, if it has a number of its own; as the void item of that position; or the next
// one of the prefix that nobody has. number is 0 where none was given.
func (t *tx) stockNumber(b token.Batch, position int, id token.ID) (number int64, text string, err error) {
	k, err := oneToken(context.Background(), t, `WHERE t.id = ?`, id)
	if err != nil {
		return 0, "", err
	}
	if k.StockNumber != "" {
		taken, err := t.stockNumberTaken(k.StockNumber, id)
		if err != nil || !taken {
			return 0, k.StockNumber, err
		}
	}
	if b.StockPrefix == "" {
		return 0, "", nil
	}
	err = t.QueryRow(`SELECT coalesce(max(number), 0) FROM batch_item WHERE batch = ? AND position = ? AND state = 'void'`, b.ID, position).Scan(&number)
	if err != nil {
		return 0, "", err
	}
	if number > 0 {
		text = stockText(b.StockPrefix, number)
		if taken, err := t.stockNumberTaken(text, id); err != nil || !taken {
			return number, text, err
		}
	}
	if err := t.QueryRow(`SELECT coalesce(max(number), 0) FROM batch_item WHERE prefix = ?`, b.StockPrefix).Scan(&number); err != nil {
		return 0, "", err
	}
	for {
		number++
		text = stockText(b.StockPrefix, number)
		if taken, err := t.stockNumberTaken(text, id); err != nil || !taken {
			return number, text, err
		}
	}
}

// stockText is a stock number: prefix and at least four digits.
func stockText(prefix string, number int64) string { return fmt.Sprintf("%s%04d", prefix, number) }

// stockNumberTaken reports whether another token has a stock number, or is about to.
func (t *tx) stockNumberTaken(text string, except token.ID) (taken bool, err error) {
	err = t.QueryRow(`SELECT EXISTS (SELECT 1 FROM token WHERE stock_number = ?1 AND stock_number <> '' AND id <> ?2)
		OR EXISTS (SELECT 1 FROM batch_item WHERE stock_number = ?1 AND state = 'open' AND token <> ?2)`, text, except).Scan(&taken)
	return taken, err
}

// itemSettled follows a ledger entry to its end: of a key of a batch that was written the token goes on the shelf, under its stock
// number; where nothing was written, the place is free again.
func (t *tx) itemSettled(e token.Entry, to token.Phase) error {
	if to.Open() {
		return nil
	}
	item, err := scanItem(t.QueryRow(itemText+`WHERE i.entry = ? AND i.state = 'open'`, e.ID))
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	state := token.ItemVoid
	if to == token.Committed {
		state = token.ItemDone
		if err := t.shelve(item); err != nil {
			return err
		}
	}
	return t.one(token.ErrConflict, `UPDATE batch_item SET state = ?, ended = ? WHERE entry = ? AND state = 'open'`, string(state), micros(t.now), e.ID)
}

// shelve puts a written key into stock: what was blocked meanwhile will be there when it is back.
func (t *tx) shelve(i token.BatchItem) error {
	k, err := oneToken(context.Background(), t, `WHERE t.id = ?`, i.Token)
	if err != nil {
		return err
	}
	was, text := k.State, `UPDATE token SET stock_number = ?, state = ? WHERE id = ?`
	if k.State.Blocked() {
		was, text = k.BlockedFrom, `UPDATE token SET stock_number = ?, blocked_from = ? WHERE id = ?`
	}
	next := was
	if was != "" {
		if next, err = was.Next(token.Stock); err != nil {
			return err
		}
	}
	if err := t.one(token.ErrNotFound, text, i.StockNumber, string(next), k.ID); err != nil {
		return err
	}
	return t.desk("batch.stock", batchObject(i.Batch), batchDetail{Position: i.Position, Serial: i.Serial, StockNumber: i.StockNumber})
}

// PutAside implements batch.Store.
func (s *Store) PutAside(ctx context.Context, id token.BatchID, p token.PutAside) (added bool, err error) {
	err = s.change(ctx, func(tx *tx) error {
		added = false
		var known bool
		err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM put_aside WHERE batch = ?1 AND reason = ?2 AND serial = ?3 AND (?3 <> 0 OR port = ?4))`,
			id, string(p.Reason), p.Serial, p.Port).Scan(&known)
		if err != nil {
			return err
		}
		if known {
			return errUnchanged
		}
		if _, err := tx.Exec(`INSERT INTO put_aside (batch, serial, port, reason, detail, at) VALUES (?, ?, ?, ?, ?, ?)`,
			id, p.Serial, p.Port, string(p.Reason), p.Detail, micros(p.At)); err != nil {
			return err
		}
		added = true
		return tx.desk("batch.put-aside", batchObject(id), batchDetail{Serial: p.Serial, Port: p.Port, Reason: p.Reason})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return false, fmt.Errorf("put aside in batch %d: %w", id, translate(err))
	}
	return added, nil
}
