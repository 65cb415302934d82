package paper_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/token"
)

// sample is a receipt as a desk writes it.
func sample() paper.Receipt {
	zone := time.FixedZone("CET", 3600)
	at := time.Date(2026, 11, 22, 10, 2, 13, 0, zone)
	r := paper.Receipt{
		Number: "R-17", Name: "Łukasz Ελένη Müller-Größmann", Account: "lmueller", Issued: at, By: "hopper", Place: "Desk 2, building 10",
		IDCheck: token.ByStaffCard, Way: paper.Handed, Replaces: "20411700",
		Token: paper.Subject{Model: "YubiKey 5 NFC", Firmware: "5.7.4", Serial: 20411733, StockNumber: "A-00017", PublicID: "vvccccbeiggg", Slot: 2, Kind: token.YubicoOTP},
		Checkpoint: paper.Checkpoint{Seq: 4711, Hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
	}
	for i, id := range []string{"H-1", "H-2", "H-3", "H-4", "H-5", "H-6", "H-7"} {
		r.Steps = append(r.Steps, paper.Step{ID: id, At: at.Add(time.Duration(i) * time.Second)})
	}
	return r
}

func open(t *testing.T) *paper.Press {
	t.Helper()
	p, err := paper.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLook(t *testing.T) {
	dir := os.Getenv("LOOK")
	if dir == "" {
		t.Skip()
	}
	p := open(t)
	for _, size := range paper.Sizes() {
		for _, lang := range []string{"de", "en"} {
			r := sample()
			r.Language = lang
			if lang == "de" {
				r.Copy, r.Pending = true, true
				r.Name = "李小龍 Łukasz Ελένη \u202eevil\x1b[31m Wolfeschlegelsteinhausenbergerdorff-Müller-Lüdenscheidt von und zu Hohenzollern"
			} else if size == paper.A5 {
				r.Way = paper.Shipped
			}
			var b, txt bytes.Buffer
			if err := p.PDF(&b, r, size); err != nil {
				t.Fatal(err)
			}
			if err := p.Text(&txt, r, size); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, string(size)+"-"+lang)
			_ = os.WriteFile(name+".pdf", b.Bytes(), 0o600)
			_ = os.WriteFile(name+".txt", txt.Bytes(), 0o600)
		}
	}
	for _, l := range p.Layouts() {
		for _, tpl := range p.Labels() {
			var b, svg bytes.Buffer
			label := paper.Label{Subject: sample().Token, Batch: "1"}
			if err := p.LabelPDF(&b, paper.Stickers{Layout: l, Template: tpl, Skip: 0}, []paper.Label{label, label, label}); err != nil {
				t.Log(l, tpl, err)
				continue
			}
			if err := p.LabelSVG(&svg, paper.Stickers{Layout: l, Template: tpl}, label); err != nil {
				t.Fatal(l, tpl, err)
			}
			_ = os.WriteFile(filepath.Join(dir, "label-"+l+"-"+tpl+".pdf"), b.Bytes(), 0o600)
			_ = os.WriteFile(filepath.Join(dir, "label-"+l+"-"+tpl+".svg"), svg.Bytes(), 0o600)
		}
	}
}
