package sqlstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// What is appended to the action of a setting that is settled.
const (
	settingDone   = ".done"
	settingUndone = ".undone"
)

func settingAction(w token.Setting) string { return "slot." + string(w) }

// BeginSetting makes it durable that a setting is about to be sent to its key. It is Open until EndSetting.
func (s *Store) BeginSetting(ctx context.Context, k token.KeySetting) error {
	return s.noteSetting(ctx, k, "", k.Text)
}

// EndSetting says that the key took what was begun last or, for a reason, that it has what it had before.
func (s *Store) EndSetting(ctx context.Context, k token.KeySetting, undone string) error {
	if undone != "" {
		return s.noteSetting(ctx, k, settingUndone, undone)
	}
	return s.noteSetting(ctx, k, settingDone, "")
}

func (s *Store) noteSetting(ctx context.Context, k token.KeySetting, outcome, reason string) error {
	err := s.change(ctx, func(tx *tx) error {
		return tx.desk(settingAction(k.What)+outcome, serialObject(k.Serial), changeDetail{Slot: k.Slot, Value: k.Value, Reason: reason})
	})
	if err != nil {
		return fmt.Errorf("note %s of %s: %w", k.What, k.Serial, translate(err))
	}
	return nil
}

// KeySettings are the settings of a key as they were told last, the scan map first. With serial 0 they are those of all keys but the ones that were
// given up, by serial number: that reads the whole chain of the desk.
func (s *Store) KeySettings(ctx context.Context, serial token.Serial) ([]token.KeySetting, error) {
	where, args := `chain = ?`, []any{audit.Desk}
	if serial != 0 {
		where, args = `chain = ? AND object = ?`, append(args, serialObject(serial))
	}
	for _, what := range []token.Setting{token.NDEF, token.ScanMap} {
		for _, outcome := range []string{"", settingDone, settingUndone} {
			args = append(args, settingAction(what)+outcome)
		}
	}
	var out []token.KeySetting
	err := s.readState(ctx, func(q querier) error {
		events, err := collect(ctx, q, scanSetting, `SELECT at, action, object, detail FROM audit WHERE `+where+` AND action IN (?, ?, ?, ?, ?, ?) ORDER BY seq`, args...)
		if err != nil {
			return err
		}
		if out = settingsOf(events); serial == 0 {
			out, err = stillHere(ctx, q, out)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read settings of keys: %w", translate(err))
	}
	return out, nil
}

// stillHere leaves out those of keys that were given up.
func stillHere(ctx context.Context, q querier, list []token.KeySetting) ([]token.KeySetting, error) {
	if len(list) == 0 {
		return nil, nil
	}
	gone := map[token.Serial]bool{}
	_, err := collect(ctx, q, func(row scanner) (n token.Serial, err error) {
		err = row.Scan(&n)
		gone[n] = true
		return n, err
	}, `SELECT serial FROM token WHERE state = 'revoked' AND serial IS NOT NULL`)
	return slices.DeleteFunc(list, func(k token.KeySetting) bool { return gone[k.Serial] }), err
}

// settingEvent is one event of a setting.
type settingEvent struct {
	token.KeySetting
	outcome string
}

// scanSetting reads one; of an event that is damaged, which audit verify names, nothing is known.
func scanSetting(row scanner) (e settingEvent, err error) {
	var at int64
	var action, object, text string
	if err := row.Scan(&at, &action, &object, &text); err != nil {
		return e, err
	}
	var d changeDetail
	if _, err := fmt.Sscanf(object, "serial %d", &e.Serial); err != nil || json.Unmarshal([]byte(text), &d) != nil {
		return settingEvent{}, nil
	}
	what, outcome, _ := strings.Cut(strings.TrimPrefix(action, "slot."), ".")
	e.What, e.Slot, e.Value, e.Text, e.At = token.Setting(what), d.Slot, d.Value, d.Reason, fromMicros(at)
	if outcome != "" {
		e.outcome = "." + outcome
	}
	return e, nil
}

// settingsOf goes through the events: what was begun is open until one says that it is done, or undone, which leaves what was open before.
//
//	begin a                                         a, open
//	begin a, undone                                 nothing
//	begin a, done, begin b                          b, open, formerly a
//	begin a, done, begin b, begin c, undone         b, open, formerly a
//	begin a, done, begin b, begin c, done           c
func settingsOf(events []settingEvent) (out []token.KeySetting) {
	type place struct {
		serial token.Serial
		what   token.Setting
		slot   token.Slot
	}
	type history struct{ told, open []token.KeySetting }
	all := map[place]*history{}
	for _, e := range events {
		at := place{e.Serial, e.What, e.Slot}
		h := all[at]
		if h == nil {
			h = &history{}
			all[at] = h
		}
		last := len(h.open) - 1
		switch {
		case e.Value == "": // of a program that did not keep it
		case e.outcome == "":
			h.open = append(h.open, e.KeySetting)
		case last < 0:
		case e.outcome == settingDone:
			h.told, h.open = []token.KeySetting{h.open[last]}, nil
		default:
			h.open = h.open[:last]
		}
	}
	for _, h := range all {
		list := append(slices.Clone(h.told), h.open...)
		if len(list) == 0 {
			continue
		}
		k := list[len(list)-1]
		k.Open = len(h.open) > 0
		if k.Open && len(h.told) > 0 {
			k.Former = h.told[0].Value
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b token.KeySetting) int {
		return cmp.Or(cmp.Compare(a.Serial, b.Serial), cmp.Compare(a.Slot, b.Slot))
	})
	return out
}
