package vkey

// Quirk is a set of things that some firmware does unlike the rest, reference yubikey-otp.md §1.7, §5 and §7.1. Where the
// reference knows a behaviour but not whose it is, a firmware was chosen here, so that each has one that shows it.
type Quirk uint32

// The quirks.
const (
	// StaleSequence: the OTP interface shows a cached ProgSeq, 0 after power-up, until a frame has been run.
	StaleSequence Quirk = 1 << iota
	// CodeStays: an update takes everything but the access code.
	CodeStays
	// WrongCapabilities: device info names too few capabilities.
	WrongCapabilities
	// Reclaim: after the card was used, frames are ignored for as long as Options.Reclaim says.
	Reclaim
	// NEOBeta: one slot, but NDEF.
	NEOBeta
	// CardStale: over CCID, ProgSeq is 0 after a write, until reboot.
	CardStale
	// CardReadOnly: over USB CCID, the OTP applet refuses writes with 6985 (the word is a choice).
	CardReadOnly
	// ModeInSelect: the answer to SELECT of the OTP applet ends with mode, timeout and auto-eject time.
	ModeInSelect
	// SilentWrite: over CCID, a write answers no status (a choice: the NEO).
	SilentWrite
	// WarnUnchanged: over CCID, a rejected write is the warning 6200, not 9000 with the old ProgSeq (a choice: from 5.7).
	WarnUnchanged
	// StuckManagement: after SELECT of Management others answer 6A82 until the raw bytes A4 04 00 08 came. The NEO's
	// Management also has no instruction of its own.
	StuckManagement
	// OldApplet: the OTP applet over the card says a lower version than Management.
	OldApplet
	// GarbledStatus: over NFC the answer to SELECT of the OTP applet is garbage (a choice: 5.0 to 5.4).
	GarbledStatus
	// TwiceSW: SELECT of Management ends its text with 9000 before the status word (YubiKey Edge).
	TwiceSW
)

// quirkTable says which firmware has a quirk, first and last version included. NEOBeta and TwiceSW go with a model.
var quirkTable = []struct {
	quirk    Quirk
	from, to Version
}{
	{StaleSequence | ModeInSelect | SilentWrite | StuckManagement | OldApplet, Version{3, 0, 0}, Version{3, 9, 9}},
	{Reclaim, Version{3, 0, 0}, Version{9, 9, 9}},
	{ModeInSelect, Version{4, 0, 0}, Version{4, 9, 9}},
	{CardReadOnly, Version{4, 0, 0}, Version{5, 2, 9}},
	{WrongCapabilities, Version{4, 2, 4}, Version{4, 2, 4}},
	{CodeStays, Version{4, 3, 2}, Version{4, 3, 5}},
	{CardStale, Version{5, 0, 0}, Version{5, 4, 2}},
	{GarbledStatus, Version{5, 0, 0}, Version{5, 4, 9}},
	{WarnUnchanged, Version{5, 7, 0}, Version{9, 9, 9}},
}

func quirksOf(v Version) Quirk {
	var q Quirk
	for _, r := range quirkTable {
		if !v.Less(r.from) && !r.to.Less(v) {
			q |= r.quirk
		}
	}
	return q
}

// Feature is something that came or went with a firmware, §3.2 and §3.4.
type Feature int

// The features.
const (
	Slot2 Feature = iota
	StaticPasswords
	ProtectSlot2
	HOTPCodes
	InitialFactor
	Challenges
	ReadSerial
	SerialByUSB
	SerialByButton
	Updates
	FastTrigger
	Dormancy
	NumericKeypad
	TypingDelays
	ManualUpdate
	InvertLED
	TouchBits
	NDEF
	ScanMap
	ModeSwitch
	ReadInfo
	WriteInfo
)

// gates has for each feature the first firmware with it, the first without it again (zero: none), and the end of a gap
// that starts with 3.0.0 (zero: none).
var gates = [...]struct{ from, until, gap Version }{
	Slot2:           {from: Version{2, 0, 0}},
	StaticPasswords: {from: Version{2, 0, 0}},
	ProtectSlot2:    {from: Version{2, 0, 0}},
	HOTPCodes:       {from: Version{2, 1, 0}},
	InitialFactor:   {from: Version{2, 2, 0}},
	Challenges:      {from: Version{2, 2, 0}},
	ReadSerial:      {from: Version{2, 2, 0}},
	SerialByUSB:     {from: Version{2, 2, 0}, gap: Version{3, 2, 0}},
	SerialByButton:  {from: Version{2, 2, 0}, until: Version{3, 0, 0}},
	Updates:         {from: Version{2, 3, 0}},
	FastTrigger:     {from: Version{2, 3, 0}},
	Dormancy:        {from: Version{2, 3, 0}},
	NumericKeypad:   {from: Version{2, 3, 0}, until: Version{3, 0, 0}},
	TypingDelays:    {until: Version{3, 0, 0}},
	ManualUpdate:    {from: Version{2, 0, 0}, until: Version{3, 0, 0}},
	InvertLED:       {from: Version{2, 4, 0}, gap: Version{3, 1, 0}},
	TouchBits:       {from: Version{3, 0, 0}},
	NDEF:            {from: Version{3, 0, 0}},
	ScanMap:         {from: Version{3, 0, 0}},
	ModeSwitch:      {from: Version{3, 0, 0}},
	ReadInfo:        {from: Version{4, 1, 0}},
	WriteInfo:       {from: Version{5, 0, 0}},
}

// Has says whether a key of the profile has the feature.
func (p Profile) Has(f Feature) bool {
	if p.Quirks&NEOBeta != 0 {
		switch f {
		case Slot2:
			return false
		case NDEF:
			return true
		case InitialFactor:
			return Version{2, 1, 6}.Less(p.Version)
		}
	}
	g, v := gates[f], p.Version
	switch {
	case v.Less(g.from), g.until != Version{} && !v.Less(g.until), v.Major >= 3 && v.Less(g.gap):
		return false
	case f == NDEF:
		return p.NFC && v.Major != 4
	}
	return true
}

// extKnown is the extended flags that the firmware knows (§3.2). It stores the others, and ignores them.
func (p Profile) extKnown() byte {
	known := byte(0)
	for _, f := range []struct {
		bit     byte
		feature Feature
	}{
		{extSerialButton, SerialByButton}, {extSerialUSB, SerialByUSB}, {extSerialAPI, ReadSerial}, {extNumKeypad, NumericKeypad},
		{extFastTrigger, FastTrigger}, {extAllowUpdate, Updates}, {extDormant, Dormancy}, {extLEDInverted, InvertLED},
	} {
		if p.Has(f.feature) {
			known |= f.bit
		}
	}
	return known
}
