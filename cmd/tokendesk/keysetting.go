package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/ykslot"
)

// openSettingError says that a key may have a setting as it was or the one that was sent.
type openSettingError struct {
	setting token.KeySetting
	err     error
}

func (e *openSettingError) Error() string {
	return fmt.Sprintf("key %s: %s not settled: %v", e.setting.Serial, e.setting.What, e.err)
}

// Unwrap returns the cause.
func (e *openSettingError) Unwrap() error { return e.err }

// settingText is what messages call a setting.
func settingText(k token.KeySetting) string {
	if k.What == token.ScanMap {
		return "the scan map"
	}
	return fmt.Sprintf("the NDEF of slot %d", k.Slot)
}

// settingRow is a setting that a key has now.
type settingRow struct {
	Serial  token.Serial `json:"serial"`
	Slot    token.Slot   `json:"slot,omitempty"` // 0: of the whole key
	NDEF    string       `json:"ndef,omitempty"`
	ScanMap string       `json:"scan_map,omitempty"`
}

func (a *app) showSetting(s token.KeySetting) error {
	row := settingRow{Serial: s.Serial, Slot: s.Slot}
	columns := []column[settingRow]{
		{"Serial", func(r settingRow) string { return r.Serial.String() }},
		{"Slot", func(r settingRow) string { return slotText(r.Slot) }},
	}
	if s.What == token.ScanMap {
		row.ScanMap = printable(s.Text)
		columns = append(columns, column[settingRow]{"Scan map", func(r settingRow) string { return r.ScanMap }})
	} else {
		row.NDEF = printable(s.Text)
		columns = append(columns, column[settingRow]{"NDEF", func(r settingRow) string { return r.NDEF }})
	}
	return show(a, "slot", row, columns)
}

// tell sends a setting to its key, with each access code that may guard it. It is in the audit chain before, and what came of it afterwards. To
// send it again comes to the same.
func tell(ctx context.Context, st *sqlstore.Store, k *key, s token.KeySetting, codes ...secret.Bytes) error {
	send, err := sending(ctx, k, s)
	if err != nil {
		return err
	}
	if err := st.BeginSetting(ctx, s); err != nil {
		return err
	}
	err = provision.Insist(codes, send)
	ctx = context.WithoutCancel(ctx)
	switch {
	case errors.Is(err, ykslot.ErrUnsettled):
		return &openSettingError{s, err}
	case err != nil:
		return errors.Join(err, st.EndSetting(ctx, s, "the key did not take it"))
	}
	if err := st.EndSetting(ctx, s, ""); err != nil {
		return &openSettingError{s, err}
	}
	return nil
}

// sending is how a setting is sent.
func sending(ctx context.Context, k *key, s token.KeySetting) (func(code secret.Bytes) error, error) {
	if s.What == token.ScanMap {
		m, err := ykslot.ParseScanMap(s.Value)
		return func(code secret.Bytes) error { return k.session.WriteScanMap(ctx, m, code) }, err
	}
	raw, err := hex.DecodeString(s.Value)
	if err != nil {
		return nil, err
	}
	n, err := ykslot.ParseNDEF(raw)
	return func(code secret.Bytes) error { return k.session.WriteNDEF(ctx, ykslot.Slot(s.Slot), n, code) }, err
}

// settings sends again what was interrupted. Those of keys that are not at hand stay open; the error is one that ends the whole run.
func (r *resumption) settings(ctx context.Context) error {
	open, err := r.openSettings(ctx)
	if err != nil {
		return err
	}
	for _, s := range open {
		err := r.setting(ctx, s)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			r.left, r.last = r.left+1, err
			continue
		}
		r.done = append(r.done, written{Serial: s.Serial, Slot: s.Slot, Outcome: provision.Programmed, AccessCode: "as before", Proof: string(s.What)})
	}
	return nil
}

// giveUpSettings closes what is open of a key that nobody has any more, each with the reason.
func (r *resumption) giveUpSettings(ctx context.Context, reason string) error {
	for {
		open, err := r.openSettings(ctx)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			break
		}
		for _, s := range open { // one that is closed may leave another, begun before it
			if err := r.st.EndSetting(ctx, s, "given up: "+reason); err != nil {
				return err
			}
			r.done = append(r.done, written{Serial: s.Serial, Slot: s.Slot, Outcome: provision.Undone, AccessCode: "as before", Proof: string(s.What)})
		}
	}
	if len(r.done) > 0 {
		r.a.say("key %d: should it come back, set anew what is given up here: nobody knows which one it has", r.choice.serial)
	}
	return r.end()
}

// openSettings are those that wait, of the key that was named or of all; a station has none.
func (r *resumption) openSettings(ctx context.Context) (open []token.KeySetting, err error) {
	if r.st == nil {
		return nil, nil
	}
	return openSettings(ctx, r.st, token.Serial(r.choice.serial))
}

func openSettings(ctx context.Context, st *sqlstore.Store, serial token.Serial) (open []token.KeySetting, err error) {
	all, err := st.KeySettings(ctx, serial)
	for _, s := range all {
		if s.Open {
			open = append(open, s)
		}
	}
	return open, err
}

// setting sends one again, with the access codes that the store keeps. What the key refuses stays open: it may have taken it before.
func (r *resumption) setting(ctx context.Context, s token.KeySetting) error {
	at := r.choice
	at.serial = uint32(s.Serial)
	k, err := at.open(ctx, r.a)
	if err != nil {
		return &openSettingError{s, err}
	}
	defer k.close()
	r.a.say("%s: %s was interrupted", k.name(), settingText(s))
	have, err := lookUp(ctx, r.st, k)
	if err != nil {
		return err
	}
	defer destroyLive(have)
	send, err := sending(ctx, k, s)
	if err == nil {
		err = provision.Insist(guards(have, s), send)
	}
	if err == nil {
		err = r.st.EndSetting(context.WithoutCancel(ctx), s, "")
	}
	if err != nil {
		return &openSettingError{s, err}
	}
	return nil
}

// guards are the access codes that may guard a setting: of a slot that shows NDEF none helps.
func guards(have provision.Have, s token.KeySetting) []secret.Bytes {
	var codes []secret.Bytes
	for _, c := range have.Live {
		if s.What == token.ScanMap && c.Secrets.AccessCode.Len() > 0 {
			codes = append(codes, c.Secrets.AccessCode)
		}
	}
	return append(codes, secret.Bytes{})
}

func unsettledSetting(s token.KeySetting) unsettled {
	return unsettled{Serial: s.Serial, Slot: s.Slot, Phase: token.Writing, Holds: settingText(s) + " of before, or " + printable(s.Text), Next: "sends it again"}
}

// learnMap has the key read by the scan map that the store remembers. The error is that it may be either of two.
func learnMap(ctx context.Context, st *sqlstore.Store, k *key) error {
	if k.serial == 0 {
		return nil
	}
	list, err := st.KeySettings(ctx, k.serial)
	if err != nil || len(list) == 0 || list[0].What != token.ScanMap {
		return err
	}
	if list[0].Open {
		return &openSettingError{list[0], token.ErrUnsettled}
	}
	k.scanMap, err = ykslot.ParseScanMap(list[0].Value)
	return err
}

// unsettledText says that a setting waits, and how it is settled.
func unsettledText(s token.KeySetting) string {
	return fmt.Sprintf("%s is not settled: it is %s, or what it was; finish it: tokendesk provision resume --serial %s", settingText(s), printable(s.Text), s.Serial)
}

// explainSetting: a setting that is open.
func explainSetting(err error, x *explained) bool {
	var e *openSettingError
	if !errors.As(err, &e) {
		return false
	}
	cause := explain(e.err)
	x.code = cause.code
	x.line = fmt.Sprintf("key %s: %s is not settled: %s", e.setting.Serial, settingText(e.setting), cause.line)
	x.hints = append(cause.hints, fmt.Sprintf("finish it with the key attached: tokendesk provision resume --serial %s; or set it anew", e.setting.Serial))
	return true
}
