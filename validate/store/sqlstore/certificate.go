package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

const certificateColumns = `serial, slot, issuer, number, subject, not_after, sha256, public_key, self_signed, seen, gone`

func scanCertificate(row scanner) (c token.Certificate, err error) {
	var until, seen, gone int64
	err = row.Scan(&c.Serial, &c.Slot, &c.Issuer, &c.Number, &c.Subject, &until, &c.SHA256, &c.PublicKey, &c.SelfSigned, &seen, &gone)
	c.NotAfter, c.Seen, c.Gone = fromMicros(until), fromMicros(seen), fromMicros(gone)
	return c, err
}

// KeepCertificate notes a certificate that a key has now. Those of another key in that slot are gone then; those of the same key still let
// in whoever has it, also when they are not on it any more. One that is known changes nothing. Seen and Gone are this store's.
func (s *Store) KeepCertificate(ctx context.Context, c token.Certificate) error {
	err := s.change(ctx, func(tx *tx) error {
		if c.Serial == 0 || c.Slot == "" || max(len(c.Issuer), len(c.Subject), len(c.Number)) > token.MaxCertificateName {
			return errors.New("a certificate is in a slot of one key, and has names that can be kept")
		}
		gone, err := tx.loseCertificates(ctx, c.Serial, c.Slot, c.PublicKey)
		if err != nil {
			return err
		}
		var known bool
		err = tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM certificate WHERE serial = ? AND slot = ? AND sha256 = ? AND gone = 0)`, c.Serial, c.Slot, c.SHA256).Scan(&known)
		if err != nil {
			return err
		}
		if known {
			return errUnchanged // with it nothing is gone: it was of that key
		}
		_, err = tx.insert(`INSERT INTO certificate (serial, slot, issuer, number, subject, not_after, sha256, public_key, self_signed, seen)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, c.Serial, c.Slot, c.Issuer, c.Number, c.Subject, micros(c.NotAfter), c.SHA256, c.PublicKey, c.SelfSigned, micros(tx.now))
		if err != nil {
			return err
		}
		return tx.desk("piv.certificate", serialObject(c.Serial), PIVEvent{Slot: c.Slot, Certificate: c.SHA256, Subject: c.Subject, PublicKey: c.PublicKey,
			Issuer: c.Issuer, Number: c.Number, Gone: gone})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("keep a certificate of %d: %w", c.Serial, translate(err))
	}
	return nil
}

// NotePIVKey adds the event of a key that was generated in e.Slot. Certificates of the key that was there before are gone.
func (s *Store) NotePIVKey(ctx context.Context, serial token.Serial, e PIVEvent) error {
	err := s.change(ctx, func(tx *tx) (err error) {
		if err := tx.tellKeysGone(ctx, serial, e.Slot, e.PublicKey); err != nil {
			return err
		}
		if e.Gone, err = tx.loseCertificates(ctx, serial, e.Slot, e.PublicKey); err != nil {
			return err
		}
		return tx.desk("piv.generate", serialObject(serial), e)
	})
	if err != nil {
		return fmt.Errorf("note the key that was made on %d: %w", serial, translate(err))
	}
	return nil
}

// LoseCertificates notes that the keys of all certificates in a slot are gone, "": in all slots, after a reset, of which the key's holder
// is told.
func (s *Store) LoseCertificates(ctx context.Context, serial token.Serial, slot string) error {
	err := s.change(ctx, func(tx *tx) error {
		if slot == "" { // otherwise another program did it, and nobody here
			if err := tx.tellKeysGone(ctx, serial, slot, ""); err != nil {
				return err
			}
		}
		gone, err := tx.loseCertificates(ctx, serial, slot, "")
		if err == nil && len(gone) == 0 {
			err = errUnchanged
		}
		if err != nil {
			return err
		}
		return tx.desk("piv.gone", serialObject(serial), PIVEvent{Slot: slot, Gone: gone})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("note lost keys of %d: %w", serial, translate(err))
	}
	return nil
}

// tellKeysGone tells of the certificates that are still valid and that loseCertificates is about to end: the holder of an active key, or from
// whom it was taken after the certificate was seen. Who gave the key back is not told, nor who has it since.
func (t *tx) tellKeysGone(ctx context.Context, serial token.Serial, slot, keep string) error {
	type lost struct {
		slot string
		seen int64
	}
	gone, err := collect(ctx, t, func(r scanner) (l lost, err error) { return l, r.Scan(&l.slot, &l.seen) },
		`SELECT DISTINCT slot, seen FROM certificate WHERE `+goneCertificates+` AND not_after > ?4 ORDER BY slot, seen`, serial, slot, keep, micros(t.now))
	if err != nil || len(gone) == 0 {
		return err
	}
	k, err := oneToken(ctx, t, `WHERE t.serial = ?`, serial)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	earliest := slices.MinFunc(gone, func(a, b lost) int { return cmp.Compare(a.seen, b.seen) }).seen
	ends, err := t.ends(ctx, k, earliest)
	if err != nil {
		return err
	}
	var who []token.PersonID
	facts := map[token.PersonID]desk.Facts{}
	for _, l := range gone {
		var person token.PersonID
		name := desk.Name(k)
		if i := slices.IndexFunc(ends, func(e holdingEnd) bool { return e.at > l.seen }); i >= 0 {
			person, name = ends[i].person, ends[i].name
		} else if told(k) {
			person = k.Holder.ID
		}
		if person == 0 {
			continue
		}
		f, known := facts[person]
		if !known {
			who = append(who, person)
		}
		if !slices.Contains(f.Certificates, l.slot) {
			f.Certificates = append(f.Certificates, l.slot)
		}
		f.Token = name
		facts[person] = f
	}
	for _, p := range who {
		if err := t.notify(p, desk.NoticeErased, facts[p]); err != nil {
			return err
		}
	}
	return nil
}

// holdingEnd is when a key was somebody's no more.
type holdingEnd struct {
	at     int64          // in microseconds
	person token.PersonID // who is to be told what happens to what is on the key; 0: nobody, who gave it back knows
	name   string         // of the key in notices
}

// ends are those of a key since then, the oldest first: by the notices of those from whom it was taken, and by the events of those who gave it
// back.
func (t *tx) ends(ctx context.Context, k token.Token, since int64) ([]holdingEnd, error) {
	k.Holder = nil
	taken, err := collect(ctx, t, scanNotice, noticeColumns+`WHERE n.kind = ? AND n.created > ? ORDER BY n.id`, string(desk.NoticeTaken), since)
	if err != nil {
		return nil, err
	}
	var out []holdingEnd
	for _, n := range taken {
		if strings.HasPrefix(n.Facts.Token, desk.Name(k)+" (") {
			out = append(out, holdingEnd{micros(n.Created), n.To.ID, n.Facts.Token})
		}
	}
	back, err := collect(ctx, t, func(r scanner) (e holdingEnd, err error) { return e, r.Scan(&e.at) },
		`SELECT at FROM audit WHERE chain = ? AND object = ? AND action = 'token.return' AND at > ? ORDER BY seq`, audit.Desk, tokenObject(k.ID), since)
	out = append(out, back...)
	slices.SortStableFunc(out, func(a, b holdingEnd) int { return cmp.Compare(a.at, b.at) }) // a return with a notice is that of the notice
	return out, err
}

// goneCertificates are those of a serial in a slot, "" in any, that are of another public key than the third.
const goneCertificates = `serial = ?1 AND (?2 = '' OR slot = ?2) AND public_key <> ?3 AND gone = 0`

// loseCertificates ends those in a slot, "" in any, that are of another public key; it returns their SHA-256.
func (t *tx) loseCertificates(ctx context.Context, serial token.Serial, slot, keep string) ([]string, error) {
	gone, err := collect(ctx, t, func(r scanner) (sum string, err error) { return sum, r.Scan(&sum) },
		`SELECT sha256 FROM certificate WHERE `+goneCertificates+` ORDER BY id`, serial, slot, keep)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	_, err = t.Exec(`UPDATE certificate SET gone = ?4 WHERE `+goneCertificates, serial, slot, keep, micros(t.now))
	return gone, err
}

// Certificates implements desk.Tokens.
func (s *Store) Certificates(ctx context.Context, serial token.Serial) ([]token.Certificate, error) {
	list, err := collect(ctx, s.read, scanCertificate, `SELECT `+certificateColumns+` FROM certificate WHERE serial = ? ORDER BY slot, id DESC`, serial)
	if err != nil {
		return nil, fmt.Errorf("certificates of %d: %w", serial, translate(err))
	}
	return list, nil
}
