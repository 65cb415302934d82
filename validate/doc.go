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
// the audit chain see (Reason). HOTP and TOTP are computed in validate/oath and not yet matched here.
package validate
