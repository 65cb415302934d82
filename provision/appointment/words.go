package appointment

import (
	"fmt"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Tone is how a line is meant: it is coloured by it, and says the same without colour.
type Tone string

// The tones.
const (
	Plain Tone = "plain"
	Act   Tone = "act"  // the operator, or the person, does something
	Busy  Tone = "busy" // the machine does
	Good  Tone = "good"
	Bad   Tone = "bad" // attention
)

// Prompt is the one line that says what to do now.
type Prompt struct {
	Step Step
	Text string
	Tone Tone
}

// Prompt says it.
func (s State) Prompt() Prompt {
	text, tone := s.prompt()
	return Prompt{s.Step(), text, tone}
}

func (s State) prompt() (string, Tone) {
	switch {
	case s.Over || s.Leaving:
		return "closing", Busy
	case s.Done != nil && s.equipping != 0:
		return s.carding()
	case s.Done != nil && s.Done.Cards.Why != "":
		return s.unfinished(), Bad
	case s.Done != nil:
		return s.pull(), Good
	case s.Down != nil:
		return "WAIT: the store does not answer; nothing is lost, and this goes on by itself", Bad
	case s.halting:
		return "stopping", Busy
	case s.Work != NoWork && s.Work != Inspecting:
		return s.doing()
	case s.Person == nil:
		return s.who()
	}
	switch s.Wants() {
	case WantGrave:
		return "see the warning: go on? Y, or Esc to cancel", Bad
	case WantUse:
		return "has a key already: S for a second one, R to replace, Esc to cancel", Act
	case WantCheck:
		return "check the identity, and press 1 to 5", Act
	case WantWitness:
		return "known personally: type the name of a second operator who knows this person too", Act
	case WantAnew:
		if s.lacks() {
			return "this key is theirs already: F puts on it what it lacks, Y writes it anew, or take another one", Act
		}
		return "this key is theirs already: Y writes it anew, or take another one", Act
	}
	return s.insert()
}

func (s State) who() (string, Tone) {
	switch {
	case s.loading != 0 || s.picking:
		return "looking", Busy
	case s.Unknown != "":
		return "nobody fits: type other letters, or scan the card", Bad
	case s.Key != nil && s.Key.Have.Token.Holder != nil:
		return "the key that is in belongs to " + s.Key.Have.Token.Holder.Account, Bad
	case len(s.Next) > 0 && s.Query == "":
		return "Enter takes the next appointment, or type letters of a name, or scan a card", Act
	case len(s.Hits) > 0 && s.HitsOf == s.Query:
		return "Enter chooses the person, arrows move", Act
	}
	return "who is it? Type letters of the name or account, or scan the card", Act
}

func (s State) insert() (string, Tone) {
	aside := s.Aside()
	switch usable := s.usable(); {
	case len(usable) > 1:
		return "two keys are plugged in: leave only the one for this person", Bad
	case s.Work == Inspecting || len(usable) == 1 && s.waiting != 0:
		return "reading the key", Busy
	case s.Left != nil && len(usable) == 1:
		return fmt.Sprintf("that is another key: plug in key %s, which was left half-written; if it is gone for good: G", s.Left.Serial), Bad
	case s.Left != nil:
		return fmt.Sprintf("plug in key %s again: it was left half-written and is finished by itself; if it is gone for good: G", s.Left.Serial), Bad
	case aside != "":
		return "take another key: " + aside, Bad
	}
	if s.Station.Cards {
		return "plug in a key", Act
	}
	return "plug in a key, or touch one from stock", Act
}

// doing says what goes on with the key.
func (s State) doing() (string, Tone) {
	switch {
	case s.Touching && s.Missed != "":
		return s.Missed, Bad
	case s.Touching && s.Work == Taking:
		return "touch the key from stock: it is bound by that", Act
	case s.Touching && s.Work == Resuming:
		return "this key was left half-written: " + touchOf(s.slot()), Act
	case s.Touching:
		return "the person touches the key: " + touchOf(s.slot()), Act
	case s.Work == Giving:
		return "giving up the key", Busy
	case s.Work == Taking, s.Passed == provision.StepProven:
		return "binding the key", Busy
	case s.Passed == "" || s.Passed == provision.StepReserved:
		return "a fresh secret is drawn and sealed", Busy
	}
	return "writing: leave the key in", Busy
}

func touchOf(s token.Slot) string {
	if s == 2 {
		return "touch the disc and hold for three seconds"
	}
	return "touch the disc shortly"
}

// missed says what was wrong with a touch, to the person.
func missed(why provision.Mispress, slot token.Slot) string {
	switch {
	case why != provision.OtherOutput && why != provision.OtherKey && why != provision.NotDecrypting:
		return string(why) + ": once more, " + touchOf(slot)
	case why == provision.NotDecrypting:
		return "that does not decrypt with the key that was written: once more, " + touchOf(slot)
	case slot == 2:
		return "that was the short touch: hold for three seconds"
	}
	return "that was the long touch: touch shortly"
}

// carding says what goes on after the slot.
func (s State) carding() (string, Tone) {
	switch {
	case s.halting:
		return "stopping", Busy
	case s.Blinking:
		return "the person touches the key: it blinks", Act
	}
	return "issued; accounts and certificates are put on it: leave the key in", Busy
}

// unfinished says that there is more to be done than to pull the key out.
func (s State) unfinished() string {
	if s.printing != 0 {
		return "issued, and not all is on the key; the receipt is printed"
	}
	note := "the command below"
	if len(s.Done.Cards.Finish) == 0 {
		note = "the reason"
	}
	return "issued to " + s.Done.Account + ", and not all is on the key: note " + note + ", give the key out, and press Enter"
}

func (s State) pull() string {
	who := s.Done.Account
	switch {
	case s.Done.Call != "" && (s.Key == nil || s.gone):
		return fmt.Sprintf("read the number %s to each other, send the key to %s, and press Enter", s.Done.Call, who)
	case s.Done.Shipped && s.Done.Call != "":
		return fmt.Sprintf("read the number %s to each other, then pull the key out and send it to %s", s.Done.Call, who)
	case s.Done.Shipped:
		return "pull the key out and send it to " + who
	case s.printing != 0:
		return "issued; the receipt is printed"
	case s.Key == nil:
		return "issued to " + who + ": Enter for the next person"
	}
	return "pull the key out and give it to " + who
}

func slotName(s token.Slot) string { return fmt.Sprintf("slot %d", s) }

// CheckName is an identity check for people.
func CheckName(c desk.IDCheck) string {
	switch c {
	case desk.ByStaffCard:
		return "staff card"
	case desk.ByNationalID:
		return "national ID"
	case desk.ByPassport:
		return "passport"
	case desk.ByAcquaintance:
		return "known"
	case desk.ByVideo:
		return "video"
	}
	return ""
}
