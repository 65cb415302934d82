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

func newDeviceCmd(a *app) *cobra.Command {
	return group("device", "Look at attached keys", newDeviceListCmd(a), newDeviceInfoCmd(a), newDeviceWatchCmd(a))
}

// surveyed is one attached key as device list shows it.
type surveyed struct {
	Path     string       `json:"path"`
	Serial   token.Serial `json:"serial,omitempty"`
	Product  string       `json:"product"`
	Firmware string       `json:"firmware,omitempty"`
	OTP      bool         `json:"otp"`
	Slots    string       `json:"slots,omitempty"` // "1", "1+2", "none": which hold a configuration
	Note     string       `json:"note,omitempty"`
}

// survey opens each key for a moment to ask for its serial. What cannot be opened is listed with a note.
func (a *app) survey(ctx context.Context, list []usbhid.Attached, t transport) []surveyed {
	seen := make([]surveyed, len(list))
	for i, k := range list {
		seen[i] = surveyed{Path: k.Path, Product: productName(k), Firmware: k.Firmware, OTP: k.OTP}
		if !a.reaches(t, k) {
			seen[i].Note = "no OTP interface"
			continue
		}
		opened, err := openKey(ctx, a, k, t)
		if err != nil {
			seen[i].Note = explain(err).line
			continue
		}
		seen[i].Serial, seen[i].Firmware, seen[i].Slots = opened.serial, opened.version().String(), opened.slotsInUse()
		if opened.serial == 0 {
			seen[i].Note = "hides its serial number"
		}
		opened.close()
	}
	return seen
}

func productName(k usbhid.Attached) string {
	if k.Product != "" {
		return k.Product
	}
	return fmt.Sprintf("%s (%04x)", k.Model.Family, k.Model.ProductID)
}

func newDeviceListCmd(a *app) *cobra.Command {
	var c choice
	cmd := &cobra.Command{
		Use: "list", Short: "List attached keys", Args: args(0, 0, ""),
		Long: "List every attached key of Yubico's. Each one with an OTP interface is opened for a moment to read its serial number.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := transport(c.transport)
			if err := t.check(); err != nil {
				return err
			}
			a.giveBack()
			list1, err := a.attached(cmd.Context(), t)
			if err != nil {
				return err
			}
			return list(a, "devices", a.survey(cmd.Context(), list1, t), []column[surveyed]{
				{"Serial", func(s surveyed) string { return s.Serial.String() }},
				{"Product", func(s surveyed) string { return a.mark(s.Product) }},
				{"Firmware", func(s surveyed) string { return s.Firmware }},
				{"Slots in use", func(s surveyed) string { return s.Slots }},
				{"Port", func(s surveyed) string { return s.Path }},
				{"Note", func(s surveyed) string { return s.Note }},
			})
		},
	}
	cmd.Flags().StringVar(&c.transport, "transport", string(auto), "way to the key: "+transports)
	completeTransport(cmd)
	return cmd
}

// mark makes plain that a device is not real.
func (a *app) mark(product string) string {
	if a.virtual {
		return "VIRTUAL " + product
	}
	return product
}

// arrival is one line of device watch.
type arrival struct {
	Schema  int       `json:"schema"`
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // "arrived" or "removed"
	Path    string    `json:"path"`
	Product string    `json:"product"`
	OTP     bool      `json:"otp"`
}

func newDeviceWatchCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "watch", Short: "Say when keys are plugged in and pulled out", Args: args(0, 0, ""),
		Long:    "Say when keys are plugged in and pulled out, first those that are attached, until interrupted. With -o json: one object per line.",
		Example: "  tokendesk device watch -o json | while read -r line; do …; done",
		RunE: func(cmd *cobra.Command, _ []string) error {
			tick, stop := a.tick()
			defer stop()
			rows := &stream[arrival]{w: a.stdout, format: a.format, columns: []column[arrival]{
				{"Time", func(l arrival) string { return l.Time.Format(time.RFC3339) }},
				{"Event", func(l arrival) string { return l.Event }},
				{"Port", func(l arrival) string { return l.Path }},
				{"Product", func(l arrival) string { return l.Product }},
			}}
			for e, err := range a.bus.watch(cmd.Context(), tick) {
				if err != nil {
					return err
				}
				if err := a.printArrival(rows, e); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) printArrival(rows *stream[arrival], e usbhid.Event) error {
	line := arrival{schema, a.now().UTC(), "removed", e.Key.Path, productName(e.Key), e.Key.OTP}
	if e.Arrived {
		line.Event = "arrived"
	}
	switch a.format {
	case "json":
		return json.NewEncoder(a.stdout).Encode(line)
	case "csv":
		rows.add(line)
		return rows.err
	}
	_, err := fmt.Fprintf(a.stdout, "%s  %-8s %-8s %s\n", line.Time.Local().Format(time.TimeOnly), line.Event, line.Path, a.mark(printable(line.Product)))
	return err
}

func newDeviceInfoCmd(a *app) *cobra.Command {
	var c choice
	cmd := &cobra.Command{
		Use: "info [SERIAL]", Short: "Show everything one key says about itself", Args: args(0, 1, "SERIAL"),
		Example: "  tokendesk device info\n  tokendesk device info 12345678 -o json",
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) == 1 {
				n, err := strconv.ParseUint(given[0], 10, 32)
				if err != nil || n == 0 || c.serial != 0 && uint64(c.serial) != n {
					return usagef("device info: SERIAL is one decimal number, as device list shows it")
				}
				c.serial = uint32(n)
			}
			k, err := c.open(cmd.Context(), a)
			if err != nil {
				return err
			}
			defer k.close()
			d, err := k.describe(cmd.Context())
			if err != nil {
				return err
			}
			return show(a, "device", d, []column[described]{
				{"Serial", func(d described) string { return d.Serial.String() }},
				{"Product", func(d described) string { return a.mark(d.Product) }},
				{"Firmware", func(d described) string { return d.Firmware }},
				{"Form factor", func(d described) string { return d.FormFactor }},
				{"Port", func(d described) string { return d.Path }},
				{"Interfaces", func(d described) string { return d.Interfaces }},
				{"Slot 1", func(d described) string { return d.Slot1 }},
				{"Slot 2", func(d described) string { return d.Slot2 }},
				{"Applications on USB", func(d described) string { return d.USBEnabled }},
				{"Applications on NFC", func(d described) string { return d.NFCEnabled }},
				{"Settings locked", func(d described) string { return d.Locked }},
			})
		},
	}
	c.flags(cmd, a)
	return cmd
}
