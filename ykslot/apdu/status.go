package apdu

import "fmt"

// Status is a status word, SW1 and SW2, and the error that a command ends with unless it is OK.
type Status uint16

// The status words that callers branch on. Source: ISO/IEC 7816-4 §5.6; reference yubikey-otp.md §5, §6.4.
const (
	OK                     Status = 0x9000
	WrongLength            Status = 0x6700
	SecurityNotSatisfied   Status = 0x6982
	AuthBlocked            Status = 0x6983
	ConditionsNotSatisfied Status = 0x6985
	WrongData              Status = 0x6A80
	NotSupported           Status = 0x6A81
	NotFound               Status = 0x6A82 // no such applet or file
	NoSpace                Status = 0x6A84
	WrongParameters        Status = 0x6A86
	NoSuchReference        Status = 0x6A88
	WrongP1P2              Status = 0x6B00
	UnknownInstruction     Status = 0x6D00
	UnknownClass           Status = 0x6E00
)

// First bytes that tell how to go on. Source: ISO/IEC 7816-4 §5.6.
const (
	moreData    = 0x61 // SW2 bytes are waiting; 00: 256 or more
	wrongExpect = 0x6C // ask again for SW2 bytes
)

var statusNames = map[Status]string{
	OK: "success", WrongLength: "wrong length", SecurityNotSatisfied: "not authenticated", AuthBlocked: "authentication is blocked",
	ConditionsNotSatisfied: "conditions of use not satisfied", WrongData: "wrong data", NotSupported: "function not supported",
	NotFound: "not found", NoSpace: "no space left", WrongParameters: "wrong parameters", NoSuchReference: "no such reference",
	WrongP1P2: "wrong parameters", UnknownInstruction: "unknown instruction", UnknownClass: "unknown class",
}

// Error is such as "status 6a82: not found".
func (s Status) Error() string {
	name, ok := statusNames[s]
	switch {
	case ok:
	case s.Warning():
		name = "warning"
	default:
		return fmt.Sprintf("status %04x", uint16(s))
	}
	return fmt.Sprintf("status %04x: %s", uint16(s), name)
}

// Warning reports whether the command was carried out with a remark, 62xx or 63xx. Its data are given beside the error.
func (s Status) Warning() bool { return s>>8 == 0x62 || s>>8 == 0x63 }

// Unchanged reports whether a warning says that nothing was written: 62xx, non-volatile memory unchanged.
func (s Status) Unchanged() bool { return s>>8 == 0x62 }

// Tries is the number of tries left that 63Cx tells.
func (s Status) Tries() (n int, ok bool) { return int(s & 0x0F), s&0xFFF0 == 0x63C0 }

func (s Status) sw1() byte { return byte(s >> 8) }
func (s Status) sw2() byte { return byte(s) }
