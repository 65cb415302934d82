package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// arrival is one line of device watch.
type arrival struct {
	Schema  int          `json:"schema"`
	Time    time.Time    `json:"time"`
	Event   string       `json:"event"` // "arrived" or "removed"
	Path    string       `json:"path"`
	Serial  token.Serial `json:"serial,omitempty"` // as far as it is known; of a removal, as on arrival
	Product string       `json:"product"`
	OTP     bool         `json:"otp"`
}

func newDeviceWatchCmd(a *app) *cobra.Command {
	var ask bool
	cmd := &cobra.Command{
		Use: "watch", Short: "Say when keys are plugged in and pulled out", Args: args(0, 0, ""),
		Long: `Say when keys are plugged in and pulled out, first those that are attached, until interrupted. With -o json: one object per line.

No key is opened: a serial number is told where the key shows it on USB. With --ask-serial each key is opened for a moment when it arrives, unless another
program holds it; do not use that beside a batch or a desk, which want the key themselves.`,
		Example: "  tokendesk device watch -o json | while read -r line; do …; done",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.watchDevices(cmd.Context(), ask)
		},
	}
	cmd.Flags().BoolVar(&ask, "ask-serial", false, "open each key for a moment, unless it is held, to ask for its serial number")
	return cmd
}

func (a *app) watchDevices(ctx context.Context, ask bool) error {
	tick, stop := a.tick()
	defer stop()
	rows := &stream[arrival]{w: a.stdout, format: a.format, columns: []column[arrival]{
		{"Time", func(l arrival) string { return l.Time.Format(time.RFC3339) }},
		{"Event", func(l arrival) string { return l.Event }},
		{"Port", func(l arrival) string { return l.Path }},
		{"Product", func(l arrival) string { return l.Product }},
		{"Serial", func(l arrival) string { return l.Serial.String() }},
	}}
	serials := map[string]token.Serial{} // by port, of what is attached
	for e, err := range a.bus.watch(ctx, tick) {
		if err != nil {
			return err
		}
		line := arrival{schema, a.now().UTC(), "removed", e.Key.Path, serials[e.Key.Path], productName(e.Key), e.Key.OTP}
		delete(serials, e.Key.Path)
		if e.Arrived {
			line.Event, line.Serial = "arrived", shownSerial(e.Key)
			if line.Serial == 0 && ask {
				line.Serial = a.askedSerial(ctx, e.Key)
			}
			serials[e.Key.Path] = line.Serial
		}
		if err := a.printArrival(rows, line); err != nil {
			return err
		}
	}
	return nil
}

// shownSerial is what the key shows on USB; 0 for nothing.
func shownSerial(k usbhid.Attached) token.Serial {
	n, err := strconv.ParseUint(k.SerialUSB, 10, 32)
	if err != nil {
		return 0
	}
	return token.Serial(n)
}

// askedSerial opens a key for a moment; 0 if it is held, or does not tell.
func (a *app) askedSerial(ctx context.Context, k usbhid.Attached) token.Serial {
	if !k.OTP {
		return 0
	}
	opened, err := openKey(ctx, a, k, auto)
	if err != nil {
		return 0
	}
	defer opened.close()
	return opened.serial
}

func (a *app) printArrival(rows *stream[arrival], line arrival) error {
	switch a.format {
	case "json":
		return json.NewEncoder(a.stdout).Encode(line)
	case "csv":
		rows.add(line)
		return rows.err
	}
	_, err := fmt.Fprintf(a.stdout, "%s  %-8s %-8s %-10s %s\n", line.Time.Local().Format(time.TimeOnly), line.Event, line.Path, line.Serial, a.mark(printable(line.Product)))
	return err
}
