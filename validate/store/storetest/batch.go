package storetest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Batching is what package batch writes keys through, and what makes and ends batches.
type Batching interface {
	Ledger
	BeginBatch(ctx context.Context, b token.Batch) (token.Batch, error)
	Batch(ctx context.Context, id token.BatchID) (token.Batch, error)
	Batches(ctx context.Context) ([]token.Batch, error)
	ReserveItem(ctx context.Context, b token.BatchID, r token.Reservation) (token.Entry, token.BatchItem, error)
	Standing(ctx context.Context, b token.BatchID, serial token.Serial, slot token.Slot) (token.Standing, error)
	Items(ctx context.Context, b token.BatchID) ([]token.BatchItem, error)
	OpenItems(ctx context.Context, b token.BatchID) ([]token.Entry, error)
	PutAside(ctx context.Context, b token.BatchID, p token.PutAside) (bool, error)
	Aside(ctx context.Context, b token.BatchID) ([]token.PutAside, error)
	Manifest(ctx context.Context, b token.BatchID) (string, error)
}

// Closing is what a manifest tells, as the store hands it over.
type Closing struct {
	Batch  token.Batch
	Items  []token.BatchItem
	Aside  []token.PutAside
	Audit  audit.Head
	Public ed25519.PublicKey
}

// BatchStore is one store for the suite of batches. Close closes a batch with the manifest that write gives.
type BatchStore struct {
	Batching
	Close   func(ctx context.Context, b token.BatchID, uncertain bool, write func(Closing) string) (string, error)
	Suspend func(t *testing.T, serial token.Serial) // blocks the token, as staff do
	Number  func(t *testing.T, serial token.Serial, number string)
}

// RunBatches runs the suite of batches; open gives an empty store each time.
func RunBatches(t *testing.T, open func(t *testing.T) BatchStore) {
	for name, run := range map[string]func(*testing.T, batchSuite){
		"walk": testBatchWalk, "places": testBatchPlaces, "stock numbers": testBatchNumbers, "standing": testBatchStanding,
		"aside": testBatchAside, "close": testBatchClose, "blocked": testBatchBlocked, "16 lanes": testBatchRace,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, batchSuite{open(t)})
		})
	}
}

type batchSuite struct{ BatchStore }

func (s batchSuite) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s batchSuite) begin(t *testing.T, wanted int, change func(*token.Batch)) token.BatchID {
	t.Helper()
	b := token.Batch{Profile: "staff", ProfileText: "name = staff\n", Slot: 1, StockPrefix: "R-", Wanted: wanted, Touch: "all"}
	if change != nil {
		change(&b)
	}
	b, err := s.BeginBatch(t.Context(), b)
	s.must(t, err)
	return b.ID
}

// take reserves, seals and writes a key of a batch up to a phase.
func (s batchSuite) take(t *testing.T, b token.BatchID, serial token.Serial, p token.Phase) (token.Entry, token.BatchItem) {
	t.Helper()
	e, i, err := s.ReserveItem(t.Context(), b, reservation(serial))
	s.must(t, err)
	if p != token.Reserved {
		s.must(t, s.Seal(t.Context(), e.ID, secretsOf(int(serial))))
	}
	for _, next := range []token.Phase{token.Writing, token.Written} {
		if p == next || p == token.Written || p == token.Committed {
			s.must(t, s.Mark(t.Context(), e.ID, next))
		}
	}
	if p == token.Committed {
		var c *token.Counters
		if e.Proof == token.ByTouch {
			c = counters(1, 0)
		}
		s.must(t, s.Commit(t.Context(), e.ID, c))
	}
	return e, i
}

func testBatchWalk(t *testing.T, s batchSuite) {
	id := s.begin(t, 2, func(b *token.Batch) {
		b.Touch, b.Sample, b.Order, b.Place, b.Budget, b.Ticket = "sample:1", []int{2}, "O", "P", "B", "T"
	})
	b, err := s.Batch(t.Context(), id)
	if err != nil || !b.Open() || b.Wanted != 2 || !slices.Equal(b.Sample, []int{2}) || b.Order+b.Place+b.Budget+b.Ticket != "OPBT" || b.Operator == "" || b.Started.IsZero() {
		t.Fatalf("%+v, %v", b, err)
	}
	e, i := s.take(t, id, 1001, token.Reserved)
	if i.Position != 1 || i.StockNumber != "R-0001" || i.State != token.ItemOpen || i.Entry != e.ID || e.Proof != token.NoProof || i.Serial != 1001 || i.PublicID != token.SerialPublicID(1001) {
		t.Errorf("%+v", i)
	}
	if _, i = s.take(t, id, 1002, token.Committed); i.Position != 2 || i.Proof != token.ByTouch {
		t.Errorf("%+v", i)
	}
	if b, err = s.Batch(t.Context(), id); err != nil || b.Done != 1 || b.Uncertain != 1 {
		t.Errorf("%+v, %v", b, err)
	}
	open, err := s.OpenItems(t.Context(), id)
	if err != nil || len(open) != 1 || open[0].ID != e.ID || open[0].Phase != token.Reserved {
		t.Errorf("%d open, %v", len(open), err)
	}
	s.must(t, s.Abort(t.Context(), e.ID, token.Reserved, "gone", nil))
	e, i = s.take(t, id, 1001, token.Committed)
	if i.Position != 1 || i.StockNumber != "R-0001" {
		t.Errorf("the place is not given again: %+v", i)
	}
	items, err := s.Items(t.Context(), id)
	if err != nil || len(items) != 2 || items[0].Entry != e.ID || items[0].State != token.ItemDone || !items[0].Proven.IsZero() || items[1].Proven.IsZero() || items[0].Ended.IsZero() {
		t.Errorf("%+v, %v", items, err)
	}
	for serial, number := range map[token.Serial]string{1001: "R-0001", 1002: "R-0002"} {
		k, live, err := s.Slots(t.Context(), serial)
		if err != nil || k.State != token.InStock || k.StockNumber != number || len(live) != 1 || live[0].Enabled {
			t.Errorf("key %s: %+v, %v", serial, k, err)
		}
	}
}

func testBatchPlaces(t *testing.T, s batchSuite) {
	id := s.begin(t, 2, nil)
	one, _ := s.take(t, id, 1, token.Written)
	s.take(t, id, 2, token.Committed)
	if _, _, err := s.ReserveItem(t.Context(), id, reservation(3)); !errors.Is(err, token.ErrBatchFull) {
		t.Errorf("a third of two: %v", err)
	}
	if _, _, err := s.ReserveItem(t.Context(), id, reservation(1)); !errors.Is(err, token.ErrBatchFull) && !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("a key in work: %v", err)
	}
	s.must(t, s.Abort(t.Context(), one.ID, token.Written, "refused", nil))
	if _, i := s.take(t, id, 3, token.Written); i.Position != 1 {
		t.Errorf("%+v", i)
	}
	bigger := s.begin(t, 9, nil)
	s.take(t, bigger, 4, token.Committed)
	if _, _, err := s.ReserveItem(t.Context(), bigger, reservation(4)); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("a second place for a key: %v", err)
	}
	if _, _, err := s.ReserveItem(t.Context(), 99, reservation(5)); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("no such batch: %v", err)
	}
	r := reservation(5)
	r.Slot = 2
	if _, _, err := s.ReserveItem(t.Context(), bigger, r); err == nil {
		t.Error("another slot is taken")
	}
}

func testBatchNumbers(t *testing.T, s batchSuite) {
	first := s.begin(t, 5, nil)
	s.take(t, first, 1, token.Committed)
	own, _ := s.take(t, s.begin(t, 1, func(b *token.Batch) { b.StockPrefix = "" }), 2, token.Reserved)
	s.must(t, s.Abort(t.Context(), own.ID, token.Reserved, "", nil))
	s.Number(t, 2, "R-0002") // by hand
	if _, i := s.take(t, first, 3, token.Committed); i.StockNumber != "R-0003" {
		t.Errorf("a number that is taken: %+v", i)
	}
	if _, i := s.take(t, s.begin(t, 5, nil), 4, token.Committed); i.StockNumber != "R-0004" || i.Position != 1 {
		t.Errorf("another batch: %+v", i)
	}
	if _, i := s.take(t, first, 2, token.Committed); i.StockNumber != "R-0002" {
		t.Errorf("a number of its own: %+v", i)
	}
	if _, i := s.take(t, s.begin(t, 1, func(b *token.Batch) { b.StockPrefix = "" }), 5, token.Committed); i.StockNumber != "" {
		t.Errorf("no prefix: %+v", i)
	}
	if _, i := s.take(t, s.begin(t, 1, func(b *token.Batch) { b.StockPrefix = "Q" }), 6, token.Committed); i.StockNumber != "Q0001" {
		t.Errorf("another prefix: %+v", i)
	}
}

func testBatchStanding(t *testing.T, s batchSuite) {
	id, other := s.begin(t, 5, nil), s.begin(t, 5, nil)
	s.take(t, id, 1, token.Committed)
	e, _ := s.take(t, id, 2, token.Written)
	loose, err := s.Reserve(t.Context(), reservation(3))
	s.must(t, err)
	for name, tc := range map[string]struct {
		batch  token.BatchID
		serial token.Serial
		item   token.ItemState
		entry  token.EntryID
		other  token.BatchID
		live   int
	}{
		"unknown": {id, 9, "", 0, 0, 0}, "done": {id, 1, token.ItemDone, 0, 0, 1}, "open": {id, 2, token.ItemOpen, e.ID, 0, 0},
		"done elsewhere": {other, 1, "", 0, id, 1}, "open elsewhere": {other, 2, "", e.ID, id, 0}, "without a batch": {id, 3, "", loose.ID, 0, 0},
	} {
		st, err := s.Standing(t.Context(), tc.batch, tc.serial, 1)
		s.must(t, err)
		item, entry := token.ItemState(""), token.EntryID(0)
		if st.Item != nil {
			item = st.Item.State
		}
		if st.Entry != nil {
			entry = st.Entry.ID
		}
		if item != tc.item || entry != tc.entry || st.Other != tc.other || len(st.Live) != tc.live {
			t.Errorf("%s: item %q, entry %d, other %d, %d live", name, item, entry, st.Other, len(st.Live))
		}
		if name == "open" && st.Entry.Credential.Secrets.Key.Len() != 16 {
			t.Error("without its secret")
		}
		st.Destroy()
	}
	if st, err := s.Standing(t.Context(), other, 1, 2); err != nil || st.Other != 0 {
		t.Errorf("the other slot: %d, %v", st.Other, err)
	}
}

func testBatchAside(t *testing.T, s batchSuite) {
	id := s.begin(t, 5, nil)
	put := func(serial token.Serial, port string, why token.Aside, want bool) {
		t.Helper()
		added, err := s.PutAside(t.Context(), id, token.PutAside{Serial: serial, Port: port, Reason: why, Detail: "d", At: at(1)})
		if err != nil || added != want {
			t.Errorf("%d %s %s: added %v, %v", serial, port, why, added, err)
		}
	}
	put(1, "1-1", token.AsideForeign, true)
	put(1, "1-2", token.AsideForeign, false)
	put(1, "1-2", token.AsideLocked, true)
	put(0, "1-1#4", token.AsideFIDO, true)
	put(0, "1-1#4", token.AsideFIDO, false)
	put(0, "1-1#5", token.AsideFIDO, true)
	put(2, "1-1", token.AsideHeld, true)
	if b, err := s.Batch(t.Context(), id); err != nil || b.Aside != 4 {
		t.Errorf("%d put aside, %v", b.Aside, err)
	}
	s.take(t, id, 2, token.Committed)
	list, err := s.Aside(t.Context(), id)
	if err != nil || len(list) != 3 || list[0].Serial != 1 || list[0].Reason != token.AsideLocked || list[1].Port != "1-1#4" || !list[0].At.Equal(at(1)) {
		t.Errorf("%+v, %v", list, err)
	}
	if b, err := s.Batch(t.Context(), id); err != nil || b.Aside != 3 {
		t.Errorf("%d put aside, %v", b.Aside, err)
	}
	if _, err := s.PutAside(t.Context(), 99, token.PutAside{Reason: token.AsideFIDO}); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("no such batch: %v", err)
	}
}

func testBatchClose(t *testing.T, s batchSuite) {
	id := s.begin(t, 3, nil)
	s.take(t, id, 1, token.Committed)
	e, _ := s.take(t, id, 2, token.Writing)
	tell := func(c Closing) string {
		if !c.Audit.Signed(c.Public) || c.Audit.Chain != audit.Desk || c.Audit.Seq == 0 || c.Batch.Ended.IsZero() {
			t.Errorf("%+v", c.Audit)
		}
		return fmt.Sprintf("%d done, %d uncertain, %d items, %d aside", c.Batch.Done, c.Batch.Uncertain, len(c.Items), len(c.Aside))
	}
	if _, err := s.Close(t.Context(), id, false, tell); !errors.Is(err, token.ErrUnsettled) {
		t.Errorf("with an uncertain key: %v", err)
	}
	if text, err := s.Manifest(t.Context(), id); err != nil || text != "" {
		t.Errorf("a manifest of an open batch: %q, %v", text, err)
	}
	text, err := s.Close(t.Context(), id, true, tell)
	if err != nil || text != "1 done, 1 uncertain, 2 items, 0 aside" {
		t.Errorf("%q, %v", text, err)
	}
	if kept, err := s.Manifest(t.Context(), id); err != nil || kept != text {
		t.Errorf("%q, %v", kept, err)
	}
	if _, err := s.Close(t.Context(), id, true, tell); !errors.Is(err, token.ErrBatchClosed) {
		t.Errorf("closed twice: %v", err)
	}
	if _, _, err := s.ReserveItem(t.Context(), id, reservation(3)); !errors.Is(err, token.ErrBatchClosed) {
		t.Errorf("a key for a closed batch: %v", err)
	}
	s.must(t, s.Commit(t.Context(), e.ID, counters(1, 0))) // it came back later
	if k, _, err := s.Slots(t.Context(), 2); err != nil || k.State != token.InStock {
		t.Errorf("%s, %v", k.State, err)
	}
	if _, err := s.Close(t.Context(), 99, false, tell); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("no such batch: %v", err)
	}
	s.begin(t, 1, nil)
	if all, err := s.Batches(t.Context()); err != nil || len(all) != 2 || all[1].ID != id || all[1].Open() || !all[0].Open() {
		t.Errorf("%+v, %v", all, err)
	}
}

// testBatchBlocked: a token that was blocked while it was written stays blocked, and is in stock when it is back.
func testBatchBlocked(t *testing.T, s batchSuite) {
	id := s.begin(t, 1, nil)
	e, _ := s.take(t, id, 1, token.Written)
	s.Suspend(t, 1)
	s.must(t, s.Commit(t.Context(), e.ID, counters(1, 0)))
	k, _, err := s.Slots(t.Context(), 1)
	if err != nil || k.State != token.Suspended || k.BlockedFrom != token.InStock || k.StockNumber != "R-0001" {
		t.Errorf("%s, before %s, %q, %v", k.State, k.BlockedFrom, k.StockNumber, err)
	}
}

// testBatchRace: sixteen lanes at once take each place and each number once, and no more than there are.
func testBatchRace(t *testing.T, s batchSuite) {
	const lanes, wanted = 16, 12
	id := s.begin(t, wanted, nil)
	var work sync.WaitGroup
	var mu sync.Mutex
	full := 0
	for n := range lanes {
		work.Go(func() {
			_, _, err := s.ReserveItem(t.Context(), id, reservation(token.Serial(100+n)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, token.ErrBatchFull):
				full++
			case err != nil:
				t.Error(err)
			}
		})
	}
	work.Wait()
	items, err := s.Items(t.Context(), id)
	s.must(t, err)
	numbers := map[string]bool{}
	for n, i := range items {
		if i.Position != n+1 || numbers[i.StockNumber] {
			t.Errorf("%+v", i)
		}
		numbers[i.StockNumber] = true
	}
	if len(items) != wanted || full != lanes-wanted {
		t.Errorf("%d items, %d were refused", len(items), full)
	}
}
