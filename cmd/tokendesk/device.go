package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

func newDeviceCmd(a *app) *cobra.Command {
	return group("device", "Look at attached keys, and change their settings", newDeviceListCmd(a), newDeviceInfoCmd(a), newDeviceConfigCmd(a), newDeviceWatchCmd(a), newDeviceAttestCmd(a), newDeviceGenuineCmd(a))
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
