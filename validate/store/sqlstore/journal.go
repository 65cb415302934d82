package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// conflictError undoes the taking of one write.
type conflictError struct{ why string }

func (e *conflictError) Error() string { return e.why }

func conflictf(format string, args ...any) error { return &conflictError{fmt.Sprintf(format, args...)} }

// Take implements journal.Store.
func (s *Store) Take(ctx context.Context, w journal.Write) (journal.Taken, error) {
	var out journal.Taken
	err := s.change(ctx, func(tx *tx) (err error) {
		out, err = tx.take(ctx, w)
		return err
	})
	var c *conflictError
	switch {
	case errors.As(err, &c):
		return journal.Taken{Outcome: journal.Conflict, Why: c.why}, nil
	case err != nil && !errors.Is(err, errUnchanged):
		return journal.Taken{}, fmt.Errorf("take write %d of %s: %w", w.ID, w.Station, translate(err))
	}
	return out, nil
}

func (t *tx) take(ctx context.Context, w journal.Write) (journal.Taken, error) {
	st, err := scanStation(t.QueryRowContext(ctx, stationText+`WHERE s.name = ?`, w.Station))
	if err != nil {
		return journal.Taken{}, err
	}
	former, err := t.takenBefore(st.id, w)
	if err != nil {
		return journal.Taken{}, err
	}
	switch {
	case former.outcome == "open" && w.Phase == token.Committed:
		return t.settleHeld(ctx, st, w, former)
	case former.outcome == "open" && w.Phase == token.Aborted:
		return journal.Taken{}, conflictf("the station gave it up after it was taken from it: settle it here with the key: provision resume")
	case former.outcome == "open":
		return t.stillHeld(ctx, former)
	case former.outcome != "" && former.hash != w.Hash:
		return journal.Taken{}, conflictf("another journal of this station was imported, in which this write ended otherwise")
	case former.outcome != "":
		return journal.Taken{Outcome: journal.Already, Ledger: former.ledger}, errUnchanged
	}
	if w.Phase == token.Aborted {
		if err := t.putTaken(st.id, w, "aborted", 0); err != nil {
			return journal.Taken{}, err
		}
		return journal.Taken{Outcome: journal.GivenUp}, t.desk("journal.abort", serialObject(w.Plan.Serial), ledgerDetail{Slot: w.Plan.Slot, PublicID: w.Plan.PublicID.String(),
			Reason: w.Reason, Station: w.Station, Write: w.ID, Operator: w.Operator, At: stamp(w.At)})
	}
	if err := t.granted(ctx, st.id, w); err != nil {
		return journal.Taken{}, err
	}
	if err := t.genuine(ctx, st.id, w); err != nil {
		return journal.Taken{}, err
	}
	if !sound(w) {
		return journal.Taken{}, conflictf("it says what no key can do")
	}
	e, err := t.takeEntry(ctx, w)
	if err != nil {
		return journal.Taken{}, err
	}
	if w.Phase.Open() {
		if err := t.enable(e.Token); err != nil {
			return journal.Taken{}, err
		}
		if err := t.putTaken(st.id, w, "open", e.ID); err != nil {
			return journal.Taken{}, err
		}
		return journal.Taken{Outcome: journal.Held, Ledger: e.ID}, t.desk("journal.hold", serialObject(w.Plan.Serial), ledgerDetail{Entry: e.ID, Slot: w.Plan.Slot,
			PublicID: w.Plan.PublicID.String(), Station: w.Station, Write: w.ID, Operator: w.Operator, At: stamp(w.At)})
	}
	return t.takeCommit(ctx, st.id, w, e, t.putTaken)
}

// takeCommit commits an entry as the station did.
func (t *tx) takeCommit(ctx context.Context, station int64, w journal.Write, e token.Entry, note func(int64, journal.Write, string, token.EntryID) error) (journal.Taken, error) {
	out := journal.Taken{Outcome: journal.Done, Ledger: e.ID}
	var counters *token.Counters
	if w.Proof != nil {
		c := w.Proof.Counters()
		counters = &c
	}
	left, err := t.leftSince(station, w, e) // before the commit, which may replace that token
	if err != nil {
		return out, err
	}
	err = t.commit(ctx, e, counters, act{station: w.Station, entry: w.ID, receipt: w.Receipt, operator: w.Operator, at: w.At})
	if err != nil {
		return out, err
	}
	now, err := oneToken(ctx, t, `WHERE t.id = ?`, e.Token)
	if err != nil {
		return out, err
	}
	if left && !now.State.Blocked() {
		if _, err := t.block(ctx, now, desk.Block{Reason: token.ReasonLeft, Note: "issued at a station that did not know it yet"}); err != nil {
			return out, err
		}
		now.State, now.Reason = token.Suspended, token.ReasonLeft
	}
	outcome := "issued"
	if now.State.Blocked() {
		out.Outcome, outcome = journal.Blocked, "blocked"
		out.Why = "its token is blocked here: " + string(now.Reason)
	}
	return out, note(station, w, outcome, e.ID)
}

// stillHeld is what became of a write that was taken unfinished: it may have been settled here since.
func (t *tx) stillHeld(ctx context.Context, former takenRow) (journal.Taken, error) {
	e, err := t.s.entry(ctx, t, former.ledger)
	if err != nil {
		return journal.Taken{}, err
	}
	out := journal.Taken{Outcome: journal.Already, Ledger: former.ledger}
	if e.Phase.Open() {
		out.Outcome = journal.Held
	}
	return out, errUnchanged
}

// settleHeld ends a write that was taken unfinished and that the station finished all the same.
func (t *tx) settleHeld(ctx context.Context, st stationRow, w journal.Write, former takenRow) (journal.Taken, error) {
	e, err := t.s.entry(ctx, t, former.ledger)
	if err != nil {
		return journal.Taken{}, err
	}
	switch {
	case !sound(w) || !former.of(w, e):
		return journal.Taken{}, conflictf("another journal of this station was imported, in which this write is another one")
	case e.Phase == token.Committed:
		return journal.Taken{Outcome: journal.Already, Ledger: e.ID}, t.endTaken(st.id, w, "issued", e.ID)
	case e.Phase == token.Aborted:
		return journal.Taken{}, conflictf("it was given up here after it was taken from the station: provision the key anew")
	case !e.Phase.Uncertain():
		if err := t.advance(e, token.Written, "ledger.written", nil); err != nil {
			return journal.Taken{}, err
		}
		e.Phase = token.Written
	}
	if err := t.genuine(ctx, st.id, w); err != nil {
		return journal.Taken{}, err
	}
	return t.takeCommit(ctx, st.id, w, e, t.endTaken)
}

// takenRow is what became of a write before.
type takenRow struct {
	outcome string
	ledger  token.EntryID
	grant   int64
	hash    [32]byte
}

// of reports whether w is the write that e was taken from: the rules that e was held to are those of its key, and of its grant.
func (r takenRow) of(w journal.Write, e token.Entry) bool {
	p, c := w.Plan, e.Credential
	return p.Grant == r.grant && p.Serial == e.Serial && p.Slot == e.Slot && p.Kind == c.Kind && p.PublicID == c.PublicID &&
		provenColumn(p.Proof) == provenColumn(e.Proof) && p.IDCheck == e.Handover.IDCheck
}

func (t *tx) takenBefore(station int64, w journal.Write) (takenRow, error) {
	var r takenRow
	var hash []byte
	err := t.QueryRow(`SELECT outcome, coalesce(ledger, 0), grant_no, hash FROM journal_entry WHERE station = ? AND series = ? AND entry = ?`, station, w.Series[:], w.ID).
		Scan(&r.outcome, &r.ledger, &r.grant, &hash)
	if isNotFound(err) {
		return takenRow{}, nil
	}
	copy(r.hash[:], hash)
	return r, err
}

func (t *tx) putTaken(station int64, w journal.Write, outcome string, ledger token.EntryID) error {
	_, err := t.Exec(`INSERT INTO journal_entry (station, series, entry, grant_no, outcome, ledger, hash, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		station, w.Series[:], w.ID, w.Plan.Grant, outcome, orNull(ledger), w.Hash[:], micros(t.now))
	return err
}

func (t *tx) endTaken(station int64, w journal.Write, outcome string, ledger token.EntryID) error {
	return t.one(token.ErrConflict, `UPDATE journal_entry SET outcome = ?, hash = ?, at = ? WHERE station = ? AND series = ? AND entry = ? AND ledger = ? AND outcome = 'open'`,
		outcome, w.Hash[:], micros(t.now), station, w.Series[:], w.ID, ledger)
}

// sound is false for what a station that keeps the rules never writes.
func sound(w journal.Write) bool {
	p := w.Plan
	set := p.Settings
	ok := slices.Contains([]token.ProofRequired{token.ByTouch, token.ByHost, token.NoProof}, p.Proof) && // what the tables do not take would end each import
		set.Account == "" && !set.Shared && set.FirstMoving >= 0 && set.FirstMoving <= 1<<32-1
	ok = ok && p.Serial != 0 && (p.Slot == 1 || p.Slot == 2) && p.Kind.Valid() && w.Secrets.Key.Len() > 0 && (p.IDCheck == "" || p.Holder != "" && isCheck(p.IDCheck))
	if n := w.Proof; n != nil {
		ok = ok && n.Use >= -1 && n.Use <= 32767 && n.Session >= -1 && n.Session <= 255 && n.Moving >= -1
	}
	return ok && (w.Receipt != 0) == (p.IDCheck != "" && w.Phase == token.Committed)
}

// granted holds a write against what the station was allowed.
func (t *tx) granted(ctx context.Context, station int64, w journal.Write) error {
	var most, taken int
	var until int64
	var only string
	err := t.QueryRow(`SELECT g.most, g.until, g.groups_only, (SELECT count(*) FROM journal_entry j WHERE j.station = g.station AND j.grant_no = g.number AND j.outcome <> 'aborted')
		FROM station_grant g WHERE g.station = ? AND g.number = ?`, station, w.Plan.Grant).Scan(&most, &until, &only, &taken)
	switch {
	case isNotFound(err):
		return conflictf("snapshot %d was never made for this station", w.Plan.Grant)
	case err != nil:
		return err
	case taken >= most:
		return conflictf("the station was allowed %d keys by this snapshot", most)
	case micros(w.Started) >= until:
		return conflictf("it was begun after the end of the station's snapshot")
	case w.Plan.Holder == "":
		return nil
	}
	var groups []string
	if err := json.Unmarshal([]byte(only), &groups); err != nil {
		return fmt.Errorf("%w: the groups of a grant", token.ErrIntegrity)
	}
	holder, err := personOf(ctx, t, w.Plan.Holder)
	switch {
	case isNotFound(err):
		return conflictf("no person has the account %q", w.Plan.Holder)
	case err == nil && !inOne(holder, groups):
		return conflictf("the person is in none of the groups of the station's snapshot")
	}
	return err
}

// leftSince reports whether a token of the holder was blocked because its holder left, after the snapshot was made by which the station gave out
// another one: nobody could know there.
func (t *tx) leftSince(station int64, w journal.Write, e token.Entry) (left bool, err error) {
	if e.Holder == nil {
		return false, nil
	}
	err = t.QueryRow(`SELECT EXISTS (SELECT 1 FROM token k JOIN station_grant g ON g.station = ? AND g.number = ?
		WHERE k.holder = ? AND k.id <> ? AND k.state = 'suspended' AND k.reason = ? AND k.blocked_at >= g.created)`,
		station, w.Plan.Grant, e.Holder.ID, e.Token, string(token.ReasonLeft)).Scan(&left)
	return left, err
}

// takeEntry puts a write into the ledger as the station left it, or as written if it was settled there.
func (t *tx) takeEntry(ctx context.Context, w journal.Write) (token.Entry, error) {
	p := w.Plan
	holder, err := t.takeHolder(ctx, p.Holder)
	if err != nil {
		return token.Entry{}, err
	}
	if p.Replace != 0 {
		if _, err := oneToken(ctx, t, `WHERE t.id = ?`, p.Replace); isNotFound(err) {
			return token.Entry{}, conflictf("the token that it replaces is not known here")
		} else if err != nil {
			return token.Entry{}, err
		}
	}
	id, err := t.takeToken(ctx, p, holder)
	if err != nil {
		return token.Entry{}, err
	}
	if err := t.settled(id); errors.Is(err, token.ErrUnsettled) {
		return token.Entry{}, conflictf("an unfinished write holds a slot of this key: provision resume")
	} else if err != nil {
		return token.Entry{}, err
	}
	former, err := t.takeFormer(ctx, id, w)
	if err != nil {
		return token.Entry{}, err
	}
	if err := t.publicIDFree(p.Kind, p.PublicID, former); errors.Is(err, token.ErrDuplicate) {
		return token.Entry{}, conflictf("public ID %s is taken", p.PublicID)
	} else if err != nil {
		return token.Entry{}, err
	}
	c, err := t.addCredential(token.Credential{Token: id, Kind: p.Kind, Slot: p.Slot, PublicID: p.PublicID, State: token.Pending, Settings: p.Settings})
	if err != nil {
		return token.Entry{}, err
	}
	if err := t.putSecrets(c, w.Secrets); err != nil {
		return token.Entry{}, err
	}
	if _, err := t.Exec(`UPDATE credential SET version = version + 1, has_access_code = ? WHERE id = ?`, w.Secrets.AccessCode.Len() > 0, c); err != nil {
		return token.Entry{}, err
	}
	phase := w.Phase
	if phase == token.Committed {
		phase = token.Written
	}
	entry, err := t.insert(`INSERT INTO ledger (phase, token, slot, credential, former, holder, proof, firmware, overwrite, reason, created, updated, id_check, replaces, note)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(phase), id, p.Slot, c, orNull(former), orNull(holder), provenColumn(p.Proof), p.Firmware, p.Overwrite, p.Reason, micros(w.Started), micros(t.now),
		string(p.IDCheck), orNull(p.Replace), p.Note)
	if err != nil {
		return token.Entry{}, err
	}
	return t.s.entry(ctx, t, token.EntryID(entry))
}

func (t *tx) takeHolder(ctx context.Context, account string) (token.PersonID, error) {
	if account == "" {
		return 0, nil
	}
	p, err := personOf(ctx, t, account)
	if isNotFound(err) {
		return 0, conflictf("no person has the account %q", account)
	}
	return p.ID, err
}

// takeToken finds the token of a serial or makes it. A blocked one stays blocked.
func (t *tx) takeToken(ctx context.Context, p journal.Plan, holder token.PersonID) (token.ID, error) {
	k, err := oneToken(ctx, t, `WHERE t.serial = ?`, p.Serial)
	switch {
	case isNotFound(err):
		return t.addToken(token.Token{Model: token.YubiKey, Serial: p.Serial, Firmware: p.Firmware, State: token.Pending})
	case err != nil:
		return 0, err
	case k.Holder != nil && holder != 0 && k.Holder.ID != holder:
		return 0, conflictf("somebody else holds this key here: %s", k.Holder.Account)
	}
	if _, err := k.State.Next(token.Write); err != nil && !k.State.Blocked() {
		return 0, conflictf("its token is %s here", k.State)
	}
	_, err = t.Exec(`UPDATE token SET firmware = ? WHERE id = ?`, p.Firmware, k.ID)
	return k.ID, err
}

// takeFormer is what the station's write replaced. What was written here after it is on the key instead.
func (t *tx) takeFormer(ctx context.Context, id token.ID, w journal.Write) (token.CredentialID, error) {
	former, err := t.former(id, token.Reservation{Slot: w.Plan.Slot, Kind: w.Plan.Kind, PublicID: w.Plan.PublicID})
	if err != nil || former == 0 {
		return 0, err
	}
	c, err := oneCredential(ctx, t, `WHERE c.id = ?`, former)
	if err == nil && !c.Created.Before(w.At) {
		err = conflictf("the slot was written here after the station wrote it")
	}
	return former, err
}
