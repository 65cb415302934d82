package appointment

import "github.com/tokendesk/tokendesk/provision/token"

// Effect is something to be done. The types are those of this file; none but Redeem holds a secret, and its OTP is spent by it.
type Effect interface{ effect() }

// The effects.
type (
	// Search looks for persons. One at a time; Found answers.
	Search struct{ Query string }
	// Load reads a person's tokens and unfinished writes. Loaded or Failed answers.
	Load struct {
		Job     Job
		Account string
	}
	// Inspect opens the key and keeps it: from then on it types nowhere else. Inspected or Failed answers, and after Failed it is not held.
	Inspect struct {
		Job  Job
		Port string
	}
	// Write writes the key that is held and waits for the touch that proves it. Passed and Missed tell of it, Ended or Failed answers.
	Write struct {
		Job   Job
		Order Order
	}
	// Resume settles an unfinished write with the key that is held. Answers as Write's.
	Resume struct {
		Job   Job
		Entry token.EntryID
	}
	// Bind waits for a touch of the key that is held, which is from stock, and issues it. Answers as Write's.
	Bind struct {
		Job   Job
		Order Order
	}
	// Redeem issues the key from stock that an OTP is of. Ended or Failed answers.
	Redeem struct {
		Job   Job
		OTP   string
		Order Order
	}
	// GiveUp retires the key of an unfinished write, which nobody will see again. Ended or Failed answers.
	GiveUp struct {
		Job    Job
		Serial token.Serial
		Note   string
	}
	// Equip puts accounts and certificates on the key that was issued. Held: it is the one that is held, which is given back for it, and
	// taken again where all was done; otherwise only what finishes it is said. Carded tells of it, Equipped answers.
	Equip struct {
		Job  Job
		Done Done
		Held bool
	}
	// Halt stops Write, Resume, Bind or Equip between two steps: it answers soon.
	Halt struct{ Job Job }
	// Free gives back the key that is held, if it is that port's.
	Free struct{ Port string }
	// Print prints the receipt. Printed or Failed answers.
	Print struct {
		Job  Job
		Done Done
	}
	// Wait pauses before something is tried again. Again answers.
	Wait struct{ Job Job }
	// Tell says what happened, to the screen and to who reads the events.
	Tell struct{ Record Record }
	// Leave ends the session.
	Leave struct{}
)

func (Search) effect()  {}
func (Load) effect()    {}
func (Inspect) effect() {}
func (Write) effect()   {}
func (Resume) effect()  {}
func (Bind) effect()    {}
func (Redeem) effect()  {}
func (GiveUp) effect()  {}
func (Equip) effect()   {}
func (Halt) effect()    {}
func (Free) effect()    {}
func (Print) effect()   {}
func (Wait) effect()    {}
func (Tell) effect()    {}
func (Leave) effect()   {}
