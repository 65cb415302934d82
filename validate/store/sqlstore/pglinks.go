package sqlstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// links are events at the end of a chain that are written together, as the parameters of pgPutEventsText.
type links struct {
	head audit.Head // of the chain with them
	told audit.Mark // where the desk chain stood, as the chain tells it then

	seqs, ats                        []int64
	actors, actions, objects, detail []string
	prevs, hashes                    [][]byte
}

func (k *links) add(e audit.Event) {
	e = audit.Link(k.head, e)
	k.head = audit.HeadOf(e)
	k.seqs, k.ats = append(k.seqs, e.Seq), append(k.ats, e.At.UnixMicro())
	k.actors, k.actions = append(k.actors, e.Actor), append(k.actions, e.Action)
	k.objects, k.detail = append(k.objects, e.Object), append(k.detail, e.Detail)
	k.prevs, k.hashes = append(k.prevs, e.Prev[:]), append(k.hashes, e.Hash[:])
}

// commit writes them and the signed end, and commits, in one round trip. After an error that is no refusal nobody knows.
func (k *links) commit(ctx context.Context, conn *pgx.Conn, s *Store) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	h := k.head
	h.Signature = s.keys.Signing.Sign(h.Message())
	var out pgx.Batch
	out.Queue(pgPutEventsText, h.Chain, k.seqs, k.ats, k.actors, k.actions, k.objects, k.detail, k.prevs, k.hashes)
	out.Queue(pgPutHeadText, h.Chain, h.Seq, h.Hash[:], h.At.UnixMicro(), h.Signature)
	var tag pgconn.CommandTag
	out.Queue(`COMMIT`).Exec(func(t pgconn.CommandTag) error { tag = t; return nil })
	if err := conn.SendBatch(ctx, &out).Close(); err != nil {
		return err
	}
	if tag.String() != "COMMIT" { // it says ROLLBACK for a transaction that had failed
		return &pgconn.PgError{Severity: "ERROR", Code: failedTransaction, Message: "it was rolled back"}
	}
	return nil
}

// moved says where the end of the chain is, for checkpoints.
func (c *ownChain) moved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.Chain != c.head.Chain {
		c.marked = 0
	}
	c.end = c.head
}

// due reports whether checkpointEvery events are not marked yet. Then the caller sees to that, and to done.
func (c *ownChain) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := !c.marking && c.end.Seq-c.marked >= checkpointEvery
	c.marking = c.marking || due
	return due
}

// checkpoint marks the end of the chain in the desk chain. Where it fails, the next one makes up for it.
func (c *ownChain) checkpoint(s *Store) error {
	c.mu.Lock()
	end, unmarked := c.end, c.end.Seq > c.marked
	c.mu.Unlock()
	var err error
	if unmarked {
		err = s.change(context.Background(), func(tx *tx) error {
			return tx.mark(audit.Checkpoint, end.Chain, audit.Mark{Seq: end.Seq, Hash: end.Hash})
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marking = false
	if errors.Is(err, token.ErrMoved) { // its head is signed, and nothing more is written
		return nil
	}
	if err == nil && unmarked && c.end.Chain == end.Chain {
		c.marked = end.Seq
	}
	return err
}
