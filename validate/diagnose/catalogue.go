package diagnose

import (
	"slices"
)

// entry is one cause of the catalogue.
type entry struct {
	code, title, cause, user, helper, action string
	rank                                     int // likely ones first among those that hold
	sign                                     func(*Evidence) sign
}

// catalogue is the table of PRODUCT.md §3.h. In an action, QUERY, SLOT and ACCOUNT stand for the token, its slot and the person; KIND and
// URL are for who runs it to fill in.
func catalogue() []entry {
	return []entry{
		{"D01", "nothing arrived", "The field was empty.", "Click into the field, then touch the key.", "The field had no focus, or a remote session swallows the keys.", "", 4, empty},
		{"D02", "characters missing", "A part of the one-time password is missing.", "Touch the key again, into an empty field.", "Remote desktops drop fast keys: give the key a pace of 20 ms when it is written.", "", 8, missing},
		{"D03", "several at once", "The key was touched more than once.", "Clear the field and touch the key once.", "A form that does not submit by itself invites a second touch.", "", 6, several},
		{"D04", "capital letters", "Caps Lock or Shift was on.", "Switch Caps Lock off.", "Capital letters are accepted; it is a hint, not the cause.", "", 52, upper},
		{"D05", "keyboard layout", "The keyboard has a layout on which the key's letters become others.", "Switch the keyboard to English (US) or German and touch the key again.",
			"The server can read other layouts.", "tokendesk serve --accept-layouts", 44, layout},
		{"D06", "digit row", "The digits of the keyboard's upper row need Shift on this layout.", "Switch the keyboard to English (US) and press again.",
			"Write the slot so that it types digits by the numeric keypad.", "", 45, digitRow},
		{"D07", "foreign characters", "An input method or the clipboard changed the text.", "Switch the input method off, and touch the key instead of pasting.",
			"The server can undo it.", "tokendesk serve --accept-layouts", 50, cleaned},
		{"D08", "another kind of value", "The text is not what this account's token makes.", "Use the token that was issued to you: the key types letters, an app or display shows digits.",
			"See which tokens the person has.", "tokendesk person show ACCOUNT", 48, otherKind},
		{"D09", "wrong field", "Password, user name and code stand in one field or in the wrong ones.", "Type the password into its own field, and touch the key into the field for the code.",
			"If the relying server wants both in one field, it has to cut them itself.", "", 7, wrongField},
		{"D10", "unknown key", "No key with this public ID is known here.", "Use the key that you were given here.", "It may belong to another organisation, or was never imported.", "tokendesk token list", 56, unknownID},
		{"D11", "wrong touch", "The slot that was touched is not the one in use.", "Touch the key for three seconds.", "Slot 1 often still holds the factory's credential.", "tokendesk device list", 30, factory},
		{"D12", "other slot", "The other slot of the same key was touched.", "Touch the key briefly.", "The slot is not in use any more.", "tokendesk token show QUERY", 31, otherSlot},
		{"D13", "key of somebody else", "The token belongs to another person.", "This is not your key. Ask the helpdesk.", "Swapped keys or a theft: ask both persons.", "tokendesk token show QUERY", 26, otherPerson},
		{"D14", "key in stock", "The token was not issued to anybody.", "This key was not handed out. Bring it to the helpdesk.", "Found, or taken from the shelf.", "tokendesk token issue QUERY --to ACCOUNT --id-check KIND", 27, inStock},
		{"D15", "replaced", "The token was replaced by a newer one.", "Use your newer key.", "Take the old one back.", "tokendesk token show QUERY", 28, replaced},
		{"D16", "does not decrypt", "The public ID is known, the rest is of another key or was changed on its way.", "Touch the key again. If it fails twice, ask the helpdesk.",
			"Programmed again elsewhere, or a character was changed. After two tries, write the key again.", "tokendesk provision --serial QUERY --slot SLOT", 54, undecryptable},
		{"D17", "wrong private ID", "Key and record do not match.", "Ask the helpdesk.", "The record differs from the key, or somebody has the secret: a security event.", "tokendesk token block QUERY --reason stolen", 24, foreign},
		{"D18", "another entry", "The code is of another entry or token of the same person.", "You opened another entry of the app, or took another token. Delete entries that are not in use.",
			"Tell which one is in use.", "tokendesk person show ACCOUNT", 42, otherEntry},
		{"D19", "the same again", "This one-time password was used already.", "Touch the key again.", "A form that was sent twice, or a copied text.", "", 32, repeat},
		{"D20", "older than the last", "A newer one-time password was used already.", "Touch the key again.", "A kept text, or a second server that is ahead.", "", 33, older},
		{"D21", "counter ahead", "The token was pressed many times without logging in.", "Ask the helpdesk; you will be asked for two codes.", "Take two consecutive codes.", "tokendesk token resync QUERY", 36, hotpAhead},
		{"D22", "code was used", "This code, or a later one, was used already.", "Press the token again and use the new code.", "Nothing to do.", "", 34, hotpBehind},
		{"D23", "clock a little off", "The clock of the app or token is off by minutes.", "Set date and time of the phone to automatic.", "A hardware token: take two consecutive codes.", "tokendesk token resync QUERY", 37, smallDrift},
		{"D24", "time zone", "The clock is off by whole quarters of an hour.", "Set date, time and time zone of the phone to automatic.", "Somebody set the time by hand, but not the zone.", "", 38, wholeHours},
		{"D25", "used in this step", "The code of this step was used already.", "Wait for the next code.", "Each code counts once.", "", 35, sameStep},
		{"D26", "parameters ignored", "The app makes codes with other parameters than were asked for.", "Ask the helpdesk for a new entry.", "The app ignores hash, digits or period: enrol it with SHA-1, 6 digits, 30 seconds.",
			"tokendesk app enroll ACCOUNT --by link --url URL", 40, parameters},
		{"D27", "set-up expired", "The entry was never confirmed, and its set-up has ended.", "Delete the entry in the app and begin again.", "Send a new link.", "tokendesk app enroll ACCOUNT --by link --url URL", 18, expiredSetup},
		{"D28", "nothing fits", "No explanation was found.", "Check that you opened the right entry, and type the next code.", "Most often another account or a typing error. Ask for two codes.", "tokendesk token resync QUERY", 60, nothingFits},
		{"D29", "blocked", "The token is blocked.", "Ask the helpdesk.", "Found again: restore it with a fresh one-time password.", "tokendesk token restore QUERY", 12, blocked},
		{"D30", "locked", "Too many wrong codes.", "Wait; it ends by itself. A touch of a key works meanwhile.", "It ends by itself; a temporary code helps meanwhile.", "tokendesk code temp ACCOUNT", 20, locked},
		{"D31", "not valid", "The code has ended, was used up, or is for another service.", "Ask the helpdesk for a new code.", "Give a new one.", "tokendesk code temp ACCOUNT", 14, validity},
		{"D32", "not confirmed yet", "The set-up of the token was not finished.", "Finish the set-up: type a code on the page of the link.", "A code confirms it; an interrupted write is settled by: tokendesk provision resume", "tokendesk token verify QUERY", 16, notProven},
		{"D33", "server's clock", "The clock of the server is wrong.", "Not your fault. Try again later.", "Codes by time are judged wrongly until the clock is right.", "tokendesk doctor", 1, serverClock},
		{"D34", "client", "The relying server's request was refused, whatever was typed.", "Not your fault. Tell the operator of the service.", "Check the client's number, key, rights and clock.", "tokendesk client list", 2, client},
		{"D35", "store", "The server cannot write, or cannot reach others.", "Not your fault. Try again later.", "Free space, permissions, the database's health.", "tokendesk doctor", 0, server},
		{"D36", "copied", "Two keys seem to have this secret.", "Ask the helpdesk at once.", "Block it and write it again.", "tokendesk token block QUERY --reason stolen", 22, clone},
		{"D37", "nearly used up", "The key's use counter is near its end.", "Ask for a new key in time.", "At 32767 it stops for ever, or until it is written again.", "tokendesk token show QUERY", 58, nearEnd},
		{"D38", "not trusted yet", "The server was put back to an earlier state and does not trust this token's counter yet.", "Try again right away, with a new one-time password each time: two are refused, the third counts.",
			"Two within a minute without unplugging the key, or two codes in a row, are needed. If that cannot be: trust it as it is.", "tokendesk store caution release QUERY --reason TEXT", 30, untrusted},
	}
}

// recognise asks all recognisers, and sorts what holds.
func recognise(e *Evidence) []Finding {
	type ranked struct {
		f    Finding
		rank int
	}
	var all []ranked
	names := e.names()
	for _, row := range catalogue() {
		s := row.sign(e)
		if s.evidence == "" && s.public == "" {
			continue
		}
		f := Finding{Code: row.code, Title: row.title, Cause: row.cause, Evidence: s.evidence, User: row.user, Helper: row.helper, Action: row.action, public: s.public}
		if f.Evidence == "" {
			f.Evidence = s.public
		}
		if s.helper != "" {
			f.Helper, f.Action = s.helper, s.action
		}
		f.Action = names.Replace(f.Action)
		rank := row.rank
		if s.weak {
			rank += 100
		}
		all = append(all, ranked{f, rank})
	}
	if last := catalogue()[27]; len(all) == 0 && e.Reason != "" && !e.Accepted { // D28
		all = append(all, ranked{Finding{Code: last.code, Title: last.title, Cause: last.cause, Evidence: string(e.Reason), User: last.user, Helper: last.helper}, 0})
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return a.rank - b.rank })
	var out []Finding
	for _, r := range all {
		out = append(out, r.f)
	}
	return out
}
