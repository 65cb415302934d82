package paper

import (
	"io"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// samples are the receipts that every template is tried with: the smallest and the largest, in each way.
func samples(language string) []Receipt {
	long := strings.Repeat("Ḁ", maxFact)
	at := time.Date(2026, 11, 22, 10, 2, 0, 0, time.UTC)
	full := Receipt{
		Number: "R-" + long, Copy: true, Name: long, Account: long, Replaces: long, Issued: at, By: long, Place: long,
		IDCheck: token.ByStaffCard, Witness: long, Note: long, Checkpoint: Checkpoint{1<<63 - 1, strings.Repeat("a", hashLen)}, Pending: true,
		Token: Subject{Model: long, Firmware: "5.7.4", Serial: 1<<32 - 1, StockNumber: long, Label: long, PublicID: long, Slot: 2, Kind: token.TOTP},
	}
	for range maxSteps {
		full.Steps = append(full.Steps, Step{long, at})
	}
	for range maxAccounts {
		full.Accounts = append(full.Accounts, long)
	}
	for range maxCertificates {
		full.Certificates = append(full.Certificates, Certificate{long, long, at})
	}
	out := []Receipt{{}, full}
	full.Way, full.Copy, full.Pending, full.Token.Slot = Shipped, false, false, 1
	out = append(out, full)
	for i := range out {
		out[i].Language = language
	}
	return out
}

// rehearse fills every template in with the samples, so that no later receipt or label fails for its template.
func (p *Press) rehearse() error {
	for key := range p.receipts {
		name, language, _ := cutLast(key, ".")
		for _, other := range Languages() {
			if p.receipts[name+"."+other] == nil {
				return &FileError{"receipt." + name + "." + other + ".txt", ErrUnknown}
			}
		}
		for _, r := range samples(language) {
			r.Template = name
			if err := p.Text(io.Discard, r, Roll); err != nil {
				return err
			}
		}
	}
	for _, t := range p.labels {
		for _, l := range []Label{{}, {Subject: samples(english)[1].Token, Batch: "1"}} {
			if _, err := fill(t, l.facts()); err != nil {
				return err
			}
		}
	}
	return nil
}
