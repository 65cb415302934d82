package sqlstore

import (
	"context"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

func TestBatches(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunBatches(t, func(t *testing.T) storetest.BatchStore {
			s := open(t).s
			of := func(t *testing.T, serial token.Serial) token.ID {
				t.Helper()
				k, _, err := s.Slots(t.Context(), serial)
				must(t, err)
				return k.ID
			}
			return storetest.BatchStore{
				Batching: s,
				Close: func(ctx context.Context, id token.BatchID, uncertain bool, write func(storetest.Closing) string) (string, error) {
					return s.CloseBatch(ctx, id, uncertain, func(c ClosingBatch) (string, error) {
						return write(storetest.Closing{Batch: c.Batch, Items: c.Items, Aside: c.Aside, Audit: c.Audit, Public: c.Public}), nil
					})
				},
				Suspend: func(t *testing.T, serial token.Serial) {
					_, err := s.Block(t.Context(), of(t, serial), desk.Block{Reason: token.ReasonForgotten})
					must(t, err)
				},
				Number: func(t *testing.T, serial token.Serial, number string) {
					must(t, s.SetNames(t.Context(), of(t, serial), desk.Naming{StockNumber: &number}))
				},
			}
		})
	})
}
