package appointment

// Cards is what became of what a key gets beside its slot. The slot is issued, whatever became of it.
type Cards struct {
	Accounts []string // that are on the key
	PIV      bool     // it was set up
	Letter   string   // the file with its PIN; "": it was handed over before
	Request  string   // the file with its certificate request; "": none was made
	Why      string   // why not all was done; "": it was
	Finish   []string // the commands that do the rest, in their order
}

// equip begins what comes after the slot, on the same key.
func (t *turn) equip() {
	t.equipping = t.number()
	t.do(Equip{t.equipping, *t.Done, t.Key != nil && !t.gone && t.Key.Have.Serial == t.Done.Serial})
}

// lacks: the key that is held is theirs, and an interruption, or another desk, left it without something.
func (s State) lacks() bool {
	return s.Station.Cards && s.Key != nil && s.Key.Lacks && s.Wants() == WantAnew
}

func (e Finished) apply(t *turn) {
	if !t.lacks() || t.job != 0 {
		return
	}
	have := t.Key.Have
	d := Done{Token: have.Token.ID, Account: t.Person.Account, Serial: have.Serial, Slot: t.Station.Spec.Slot, Recovered: true}
	for _, c := range have.Live {
		if c.Slot == d.Slot {
			d.PublicID = c.PublicID.String()
		}
	}
	t.issued(d)
}

func (e Carded) apply(t *turn) {
	if e.Job != t.equipping || t.Done == nil {
		return
	}
	t.Card, t.Blinking = e.Text, e.Blinks
	t.tell(DidCard, because(e.Text), ofDone(t.Done), func(r *Record) { r.Card = e.Card })
}

// ofDone: a record is of what was issued, which may be another person's than who sits here.
func ofDone(d *Done) func(*Record) {
	return func(r *Record) { r.Account, r.Serial = d.Account, d.Serial }
}

func (e Equipped) apply(t *turn) {
	if e.Job != t.equipping || t.Done == nil {
		return
	}
	t.equipping, t.Card, t.Blinking, t.halting = 0, "", false, false
	d := *t.Done
	d.Cards, d.Machine = e.Cards, t.Machine
	t.remember(d)
	what := DidEquip
	if d.Cards.Why != "" {
		what = DidNotEquip
	}
	t.tell(what, because(d.Cards.Why), ofDone(t.Done), func(r *Record) {
		r.Step = Binding
		r.Accounts, r.PIV, r.Finish = d.Cards.Accounts, d.Cards.PIV, d.Cards.Finish
	})
	t.receipt()
}
