package metrics

import "github.com/tokendesk/tokendesk/validate"

// list holds the values that a label may have.
type list map[string]bool

// word is s if it is in the list.
func (l list) word(s string) string {
	if l[s] {
		return s
	}
	return other
}

func listOf(words ...string) list {
	l := make(list, len(words))
	for _, w := range words {
		l[w] = true
	}
	return l
}

// lists are those of the labels.
type lists struct{ doors, outcomes, reasons list }

func newLists() lists {
	l := lists{outcomes: listOf(outcomes()...), doors: list{}, reasons: list{}}
	for _, d := range validate.Doors() {
		l.doors[string(d)] = true
	}
	for _, r := range reasons() {
		l.reasons[string(r)] = true
	}
	return l
}

// outcomes are what doors say, beside numbers of HTTP. Sources: the words of the validation protocol, reference
// validation-protocol.md §5; the KSM's, §12; those of revoke, §11; package api's; package radius'.
func outcomes() []string {
	return []string{
		"OK", "BAD_OTP", "REPLAYED_OTP", "REPLAYED_REQUEST", "BAD_SIGNATURE", "MISSING_PARAMETER", "NO_SUCH_CLIENT", "OPERATION_NOT_ALLOWED",
		"BACKEND_ERROR", "NOT_ENOUGH_ANSWERS", "accepted", "denied", "refused", "failed", "alive", "dropped",
		"ERR No OTP provided", "ERR Invalid OTP format", "ERR Unknown yubikey", "ERR Corrupt OTP", "ERR Database error", "ERR Not allowed",
		"ERR Too many requests", "OK Processed", "ERROR Authorization failed", "ERROR Missing parameter", "ERROR Unknown yk value",
		"ERROR Unknown yubikey", "ERROR Unknown do value", "ERROR Database connect error", "ERROR Not enabled",
	}
}

// reasons are those of package validate.
func reasons() []validate.Reason {
	return []validate.Reason{
		validate.ReasonAccepted, validate.ReasonMalformed, validate.ReasonUnknown, validate.ReasonCRC, validate.ReasonPrivateID,
		validate.ReasonBlocked, validate.ReasonRevoked, validate.ReasonPending, validate.ReasonInStock, validate.ReasonUnsettled,
		validate.ReasonSame, validate.ReasonOlder, validate.ReasonRetry, validate.ReasonNotAllowed, validate.ReasonCautious, validate.ReasonElsewhere,
		validate.ReasonNobody, validate.ReasonOtherHolder, validate.ReasonWrong, validate.ReasonThrottled, validate.ReasonLocked,
		validate.ReasonBudget, validate.ReasonExpired, validate.ReasonUsedUp, validate.ReasonOtherClient, validate.ReasonWithdrawn, validate.ReasonPassword,
	}
}
