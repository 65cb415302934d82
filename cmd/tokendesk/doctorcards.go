package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/usbhid"
)

// examineCards looks for the smart-card service and what it shows. Without it the keyboard interface still does everything, so what is missing is
// no failure, unless keys are reached no other way. Cards are not opened: that would take them away from others for a moment.
func (a *app) examineCards(ctx context.Context) []finding {
	const check = "Smart cards"
	b, ok := a.bus.(readerBus)
	if !ok {
		return nil
	}
	list, err := b.readerList(ctx)
	switch {
	case errors.Is(err, usbhid.ErrNotBuiltIn):
		return []finding{{check, healthOK, "not part of this build; keys are reached by their keyboard interface", nil, exitDone}}
	case err != nil:
		row := fail(check, err)
		row.State, row.code = healthWarn, exitDone
		row.Next = append(row.Next, "it is needed where the keyboard interface cannot be used: --transport ccid")
		return []finding{row}
	}
	rows := []finding{{check, healthOK, fmt.Sprintf("the service runs and shows %d readers", len(list)), nil, exitDone}}
	for _, r := range list {
		m, ok := r.Key()
		if !ok {
			continue
		}
		row := finding{"Reader " + printable(r.Name), healthOK, "a key: " + m.Interfaces.String(), nil, exitDone}
		switch {
		case len(r.ATR) == 0:
			row.State, row.Detail, row.Next = healthWarn, "no card in it answers", []string{"unplug the key and plug it in again"}
		case r.Held:
			x := explain(pcsc.Held(r.Name))
			row.State, row.Detail, row.Next = healthWarn, x.line, x.hints
		}
		rows = append(rows, row)
	}
	return rows
}

// readerBus is a bus that lists smart-card readers.
type readerBus interface {
	readerList(ctx context.Context) ([]pcsc.Reader, error)
}

var _ readerBus = usbBus{}

// readerList implements readerBus.
func (b usbBus) readerList(ctx context.Context) ([]pcsc.Reader, error) { return b.readers.Readers(ctx) }
