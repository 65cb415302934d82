package oathapplet

import "github.com/tokendesk/tokendesk/hwtest/vkey"

// firmware is what versions do unlike others, reference yubikey-otp.md §6.2 and §6.3.
type firmware struct {
	version  vkey.Version // as SELECT answers it
	capacity int
	full     uint16 // status word
	buffer   int    // an answer that is longer ends in 6F00 (the word is a choice); 0 is no limit
	prefix   bool   // a name that nobody has stands for the first account whose name begins with it
	sha512   bool
	touch    bool // property 02; older firmware stores it, and ignores it (a choice)
	rename   bool
	reduced  bool // tag 76 holds the code itself, not 31 bits
	counter  uint64
	relocks  bool // SET CODE ends what was validated
}

// NEO's applet has versions of its own; 1.0.1 is a choice among 1.0.x.
const (
	neo         = 3
	neoCapacity = 28
	neoBuffer   = 2048
	counter16   = 1<<16 - 1
	counter32   = 1<<32 - 1
	yk4         = 4
	fips        = 0x80 // form factor, §7.2
)

func firmwareOf(p vkey.Profile) firmware {
	v := p.Version
	f := firmware{
		version: v, capacity: 32, full: swFull, counter: counter32, reduced: true,
		prefix: vkey.Version{Major: 4}.Less(v) && v.Less(vkey.Version{Major: 4, Minor: 3, Build: 5}),
		sha512: !v.Less(vkey.Version{Major: 4, Minor: 3, Build: 1}) && (v.Major != yk4 || p.FormFactor&fips == 0),
		touch:  !v.Less(vkey.Version{Major: 4, Minor: 2, Build: 4}),
		rename: !v.Less(vkey.Version{Major: 5, Minor: 3, Build: 1}),
	}
	if !v.Less(vkey.Version{Major: 5, Minor: 7}) {
		f.capacity = 64
	}
	if v.Major <= neo {
		f.version = vkey.Version{Major: 1, Minor: 0, Build: 1}
		f.capacity, f.full, f.buffer, f.counter, f.reduced, f.relocks = neoCapacity, swCrash, neoBuffer, counter16, false, true
	}
	return f
}

// knows says whether the firmware has the instruction.
func (f firmware) knows(ins byte) bool {
	switch ins {
	case insPut, insDelete, insSetCode, insReset, insList, insCalculate, insValidate, insCalculateAll:
		return true
	case insRename:
		return f.rename
	}
	return false
}
