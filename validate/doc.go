// Package validate decides about one-time passwords.
//
// A Verifier takes one OTP as it was typed, finds its credential, opens the block and asks Decide what the counters are
// worth. Decide is pure and only proposes; the store's one guarded statement, Counters.Accept, has the last word, so that among any
// number of callers and processes one OTP is accepted once.
//
//	v := validate.New(store, time.Now)
//	r, err := v.Verify(ctx, validate.Request{OTP: typed, Nonce: nonce})
//	// answer with r.Outcome, or "try later" if err is not nil; then
//	err = v.Note(ctx, r)
//
// Outcomes are values; an error means that the store did not answer. What is said outside (Outcome) is less than what staff and
// the audit chain see (Reason).
//
// A Checker takes whatever a person presents besides the password: an OTP, a HOTP or TOTP code (computed in validate/oath,
// found by MatchHOTP and MatchTOTP), a temporary or recovery code, a trusted browser. Guessing is throttled: the store reads the
// failures, lets a pure rule decide, and writes what it says, in one transaction.
//
//	c := validate.NewChecker(store, v, time.Now)
//	checked, err := c.Check(ctx, validate.Factor{Account: "anna", Text: typed, Client: client})
//	// answer with checked.Outcome; then
//	err = c.Note(ctx, checked)
package validate
