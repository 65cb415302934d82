package main

// exitCode is what the program's caller branches on. Source: PRODUCT.md §6.
type exitCode int

// The exit codes.
const (
	exitDone      exitCode = 0
	exitError     exitCode = 1  // anything without a code of its own
	exitUsage     exitCode = 2  // a flag, an argument or an input file is wrong
	exitNotFound  exitCode = 3  // no such device, token, person, store
	exitAmbiguous exitCode = 4  // several fit, and a guess would be wrong
	exitRefused   exitCode = 5  // a rule stands in the way
	exitDevice    exitCode = 6  // permission, pulled out, rejected write
	exitVerify    exitCode = 7  // the one-time password was not accepted
	exitPartly    exitCode = 8  // some of it was done
	exitBusy      exitCode = 9  // another process holds the device
	exitIntegrity exitCode = 10 // wrong key, broken chain, contradicting contents
)
