package sqlstore

import (
	"testing"
)

// shaky undoes every transaction with an event once: its first COMMIT fails as in a conflict with another one. What a sequence counts is
// not undone.
const shaky = `
	CREATE SEQUENCE shaky;
	CREATE FUNCTION shake() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF coalesce(current_setting('tokendesk.shaken', true), '') = '' THEN
			PERFORM set_config('tokendesk.shaken', 'yes', true);
			IF nextval('shaky') % 2 = 1 THEN
				RAISE EXCEPTION 'shaken' USING ERRCODE = 'serialization_failure';
			END IF;
		END IF;
		RETURN NULL;
	END $$;
	CREATE CONSTRAINT TRIGGER shake AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shake()`

// openShaky is a harness on a database in which each change is run twice: nothing that the first run did to the caller's variables
// may be left.
func openShaky(t testing.TB) harness {
	t.Helper()
	s, p := makePostgres(t)
	execute(t, s, shaky)
	h := harness{s, p.openStore(t)}
	t.Cleanup(func() {
		var n int
		if err := s.read.db.QueryRow(`SELECT last_value FROM shaky`).Scan(&n); err != nil || n == 0 {
			t.Errorf("%d transactions were shaken, %v", n, err)
		}
		verifyAudit(t, s)
	})
	return h
}
