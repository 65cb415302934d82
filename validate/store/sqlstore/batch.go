package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// batchDetail is the detail of an event about a batch.
type batchDetail struct {
	Profile     string       `json:"profile,omitempty"`
	Wanted      int          `json:"wanted,omitempty"`
	Touch       string       `json:"touch,omitempty"`
	Order       string       `json:"order,omitempty"`
	Place       string       `json:"place,omitempty"`
	Budget      string       `json:"budget,omitempty"`
	Ticket      string       `json:"ticket,omitempty"`
	Position    int          `json:"position,omitempty"`
	Serial      token.Serial `json:"serial,omitempty"`
	Port        string       `json:"port,omitempty"`
	StockNumber string       `json:"stock_number,omitempty"`
	Reason      token.Aside  `json:"reason,omitempty"`
	Done        int          `json:"done,omitempty"`
	Uncertain   int          `json:"uncertain,omitempty"`
	Aside       int          `json:"put_aside,omitempty"`
	SHA256      string       `json:"sha256,omitempty"` // of the manifest
}

func batchObject(id token.BatchID) string { return "batch " + strconv.FormatInt(int64(id), 10) }

const batchText = `SELECT b.id, b.profile, b.profile_text, b.slot, b.prefix, b.wanted, b.touch, b.sample, b.order_number, b.place, b.budget, b.ticket, b.operator, b.started, b.ended,
	(SELECT count(*) FROM batch_item i WHERE i.batch = b.id AND i.state = 'done'),
	(SELECT count(*) FROM batch_item i JOIN ledger l ON l.id = i.entry WHERE i.batch = b.id AND i.state = 'open'),
	(SELECT count(DISTINCT a.serial) FROM put_aside a WHERE a.batch = b.id AND a.serial > 0 AND NOT EXISTS
		(SELECT 1 FROM batch_item i JOIN token t ON t.id = i.token WHERE i.batch = b.id AND i.state = 'done' AND t.serial = a.serial)) +
	(SELECT count(DISTINCT a.port) FROM put_aside a WHERE a.batch = b.id AND a.serial = 0)
	FROM batch b `

func scanBatch(row scanner) (token.Batch, error) {
	var b token.Batch
	var sample string
	var started, ended int64
	err := row.Scan(&b.ID, &b.Profile, &b.ProfileText, &b.Slot, &b.StockPrefix, &b.Wanted, &b.Touch, &sample, &b.Order, &b.Place, &b.Budget, &b.Ticket,
		&b.Operator, &started, &ended, &b.Done, &b.Uncertain, &b.Aside)
	b.Started, b.Ended = fromMicros(started), fromMicros(ended)
	for text := range strings.FieldsSeq(sample) {
		n, nerr := strconv.Atoi(text)
		if nerr != nil {
			return b, fmt.Errorf("%w: batch %d", token.ErrIntegrity, b.ID)
		}
		b.Sample = append(b.Sample, n)
	}
	return b, err
}

// BeginBatch makes a batch. ID, Operator and Started are the store's to give.
func (s *Store) BeginBatch(ctx context.Context, b token.Batch) (token.Batch, error) {
	err := s.change(ctx, func(tx *tx) error {
		var sample []string
		for _, n := range b.Sample {
			sample = append(sample, strconv.Itoa(n))
		}
		id, err := tx.insert(`INSERT INTO batch (profile, profile_text, slot, prefix, wanted, touch, sample, order_number, place, budget, ticket, operator, started)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, b.Profile, b.ProfileText, b.Slot, b.StockPrefix, b.Wanted, b.Touch, strings.Join(sample, " "),
			b.Order, b.Place, b.Budget, b.Ticket, tx.actor, micros(tx.now))
		if err != nil {
			return err
		}
		b.ID, b.Operator, b.Started = token.BatchID(id), tx.actor, fromMicros(micros(tx.now))
		return tx.desk("batch.begin", batchObject(b.ID), batchDetail{Profile: b.Profile, Wanted: b.Wanted, Touch: b.Touch, Order: b.Order, Place: b.Place, Budget: b.Budget, Ticket: b.Ticket})
	})
	if err != nil {
		return token.Batch{}, fmt.Errorf("begin batch: %w", translate(err))
	}
	return b, nil
}

// Batch is one batch with its numbers; token.ErrNotFound.
func (s *Store) Batch(ctx context.Context, id token.BatchID) (token.Batch, error) {
	b, err := scanBatch(s.read.QueryRowContext(ctx, batchText+`WHERE b.id = ?`, id))
	if err != nil {
		return token.Batch{}, fmt.Errorf("read batch %d: %w", id, translate(err))
	}
	return b, nil
}

// Batches are all batches, the newest first.
func (s *Store) Batches(ctx context.Context) ([]token.Batch, error) {
	list, err := collect(ctx, s.read, scanBatch, batchText+`ORDER BY b.id DESC`)
	if err != nil {
		return nil, fmt.Errorf("list batches: %w", translate(err))
	}
	return list, nil
}

const itemText = `SELECT i.batch, i.position, i.stock_number, i.state, i.entry, l.phase, i.token, l.credential, coalesce(t.serial, 0), l.firmware, c.kind, l.slot, c.public_id,
	l.proof, c.proven_at, i.started, i.ended
	FROM batch_item i JOIN ledger l ON l.id = i.entry JOIN token t ON t.id = i.token JOIN credential c ON c.id = l.credential `

func scanItem(row scanner) (token.BatchItem, error) {
	var i token.BatchItem
	var public string
	var proven, started, ended int64
	err := row.Scan(&i.Batch, &i.Position, &i.StockNumber, &i.State, &i.Entry, &i.Phase, &i.Token, &i.Credential, &i.Serial, &i.Firmware, &i.Kind, &i.Slot, &public,
		&i.Proof, &proven, &started, &ended)
	if err != nil {
		return i, err
	}
	i.Proven, i.Started, i.Ended = fromMicros(proven), fromMicros(started), fromMicros(ended)
	i.PublicID, err = token.ParsePublicID(public)
	return i, err
}

func itemsIn(ctx context.Context, q querier, id token.BatchID) ([]token.BatchItem, error) {
	return collect(ctx, q, scanItem, itemText+`WHERE i.batch = ? AND i.state <> 'void' ORDER BY i.position`, id)
}

// Items implements batch.Store.
func (s *Store) Items(ctx context.Context, id token.BatchID) ([]token.BatchItem, error) {
	list, err := itemsIn(ctx, s.read, id)
	if err != nil {
		return nil, fmt.Errorf("list batch %d: %w", id, translate(err))
	}
	return list, nil
}

// OpenItems implements batch.Store.
func (s *Store) OpenItems(ctx context.Context, id token.BatchID) (out []token.Entry, err error) {
	err = s.readState(ctx, func(q querier) error {
		out, err = s.entriesIn(ctx, q, entryText+`JOIN batch_item i ON i.entry = l.id WHERE i.batch = ? AND i.state = 'open' ORDER BY l.id`, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read ledger of batch %d: %w", id, translate(err))
	}
	return out, nil
}

// entriesIn are entries with their secrets, as unsettledIn reads them.
func (s *Store) entriesIn(ctx context.Context, q querier, text string, args ...any) ([]token.Entry, error) {
	rows, err := collect(ctx, q, scanEntry, text, args...)
	if err != nil {
		return nil, err
	}
	var out []token.Entry
	for _, r := range rows {
		e, err := fill(ctx, q, r)
		if err == nil && e.Phase != token.Reserved {
			err = s.fillSecrets(ctx, q, &e)
		}
		if err != nil {
			destroyEntries(append(out, e))
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Standing implements batch.Store.
func (s *Store) Standing(ctx context.Context, id token.BatchID, serial token.Serial, slot token.Slot) (st token.Standing, err error) {
	err = s.readState(ctx, func(q querier) error {
		st = token.Standing{}
		st.Token, st.Live, err = s.slotsIn(ctx, q, serial)
		if isNotFound(err) {
			return nil
		}
		if err == nil {
			err = s.standingIn(ctx, q, id, slot, &st)
		}
		return err
	})
	if err != nil {
		st.Destroy()
		return token.Standing{}, fmt.Errorf("look up serial %s: %w", serial, translate(err))
	}
	return st, nil
}

// standingIn adds what is open, and the batches.
func (s *Store) standingIn(ctx context.Context, q querier, id token.BatchID, slot token.Slot, st *token.Standing) error {
	item, err := scanItem(q.QueryRowContext(ctx, itemText+`WHERE i.batch = ? AND i.token = ? AND i.state <> 'void'`, id, st.Token.ID))
	switch {
	case err == nil:
		st.Item = &item
	case !isNotFound(err):
		return err
	}
	open, err := s.entriesIn(ctx, q, entryText+`WHERE l.token = ? AND l.slot = ? AND l.phase NOT IN ('committed', 'aborted')`, st.Token.ID, slot)
	if err != nil {
		return err
	}
	if len(open) > 0 {
		st.Entry = &open[0]
	}
	err = q.QueryRowContext(ctx, `SELECT i.batch FROM batch_item i JOIN ledger l ON l.id = i.entry JOIN credential c ON c.id = l.credential
		WHERE i.token = ? AND l.slot = ? AND i.batch <> ? AND (i.state = 'open' OR i.state = 'done' AND c.state <> 'revoked') ORDER BY i.entry DESC LIMIT 1`,
		st.Token.ID, slot, id).Scan(&st.Other)
	if errors.Is(err, token.ErrNotFound) || isNotFound(err) {
		return nil
	}
	return err
}
