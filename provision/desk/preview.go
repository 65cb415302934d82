package desk

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Preview is Import that changes nothing. Of the first rememberedRows records it knows what repeats earlier ones of the same
// file; further behind, a record that is twice in the file is New twice.
func (d *Desk) Preview(ctx context.Context, records iter.Seq2[keyfile.Record, error], report func(Imported)) error {
	m := memory{keys: map[digest]bool{}, places: map[digest]digest{}}
	return d.eachBatch(records, report, func(list []keyfile.Record) ([]Imported, error) {
		out, err := d.Store.Preview(ctx, list)
		if err != nil {
			return nil, err
		}
		for i, r := range list {
			if out[i].Outcome == New {
				out[i].Outcome, out[i].Note = m.judge(r)
			}
		}
		return out, nil
	})
}

// rememberedRows bounds the memory of a Preview, to some 10 MB.
const rememberedRows = 1 << 16

// digest stands for a name or a secret: SHA-256.
type digest [sha256.Size]byte

// memory is what a Preview has seen of its file.
type memory struct {
	keys   map[digest]bool
	places map[digest]digest // of the secret there
}

// judge is what Import would make of r after the earlier records of the file.
func (m memory) judge(r keyfile.Record) (Outcome, string) {
	both := secret.New(slices.Concat(r.Key.Reveal(), r.PrivateID.Reveal()))
	defer both.Destroy()
	key := digest(sha256.Sum256(both.Reveal()))
	wants, takes := placesOf(r)
	for _, place := range wants {
		switch there, taken := m.places[place]; {
		case taken && there == key:
			return Known, "as a row before it"
		case taken:
			return Different, "a row before it has another key under this name"
		}
	}
	nameless := r.Kind != token.YubicoOTP && r.Serial == 0 && r.Label == ""
	switch {
	case m.keys[key] && nameless:
		return Known, "as a row before it"
	case m.keys[key]:
		return Different, "a row before it has this key under another name"
	}
	if len(m.keys) < rememberedRows {
		m.keys[key] = true
		for _, place := range takes {
			m.places[place] = key
		}
	}
	return New, ""
}

// placesOf are the places where an earlier record is r's rival, and those that r takes itself: public IDs, slots of a token, and
// kinds of credential on it.
func placesOf(r keyfile.Record) (wants, takes []digest) {
	place := func(format string, v ...any) digest { return sha256.Sum256(fmt.Appendf(nil, format, v...)) }
	named := r.Kind == token.YubicoOTP || r.PublicID.Len() > 0
	if named {
		wants = append(wants, place("id %s", r.PublicID))
	}
	device := ""
	switch {
	case r.Serial != 0:
		device = "serial " + r.Serial.String()
	case r.Label != "":
		device = fmt.Sprintf("label %t %s", r.Kind == token.YubicoOTP, r.Label)
	default:
		return wants, wants
	}
	if r.Slot != 0 {
		wants = append(wants, place("slot %d of %s", r.Slot, device))
	}
	kind := place("%s of %s", r.Kind, device)
	takes = append(slices.Clone(wants), kind)
	if !named && r.Slot == 0 {
		wants = append(wants, kind)
	}
	return wants, takes
}
