package sqlstore

import (
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
)

// TestCareless: a file has no such settings; a server that was told not to wait for its disk says so.
func TestCareless(t *testing.T) {
	t.Parallel()
	file, _ := makeStore(t)
	if list, err := file.Careless(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("file: %q, %v", list, err)
	}
	pg, _ := makePG(t, pgtest.StartWith(t, pgtest.Options{Settings: []string{"fsync=off", "full_page_writes=on", "synchronous_commit=off"}}))
	if list, err := pg.Careless(t.Context()); err != nil || !slices.Equal(list, []string{"fsync=off"}) {
		t.Errorf("PostgreSQL: %q, %v", list, err)
	}
}
