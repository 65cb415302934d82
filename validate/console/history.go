package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// deed is one line of a history.
type deed struct {
	At     time.Time
	Actor  string
	Action string
	Detail string
	Class  string // of its colour
}

// deeds are the words for the actions of the audit chain. An action without words is shown as it stands there.
var deeds = map[string]struct{ text, class string }{
	"token.add":         {"Added", ""},
	"token.block":       {"Blocked", "bad"},
	"token.restore":     {"Restored", "good"},
	"token.undo":        {"Block undone", "good"},
	"token.until":       {"Block ended by its date", "good"},
	"token.issue":       {"Issued", "good"},
	"token.verify":      {"Confirmed by a code", "good"},
	"token.resync":      {"Put back into step", ""},
	"token.release":     {"Trusted after a backup was put back", ""},
	"token.set":         {"Renamed", ""},
	"token.return":      {"Returned", ""},
	"token.retire":      {"Retired", "bad"},
	"token.revoke":      {"Revoked", "bad"},
	"token.replaced":    {"Replaced by another token", "bad"},
	"credential.import": {"Imported", ""},
	"credential.show":   {"Secret handed over", ""},
	"link.finish":       {"App set up by its holder", "good"},
	"secret.sweep":      {"Secret deleted", ""},
	"ledger.reserve":    {"Write begun", ""},
	"ledger.commit":     {"Written and proven", "good"},
	"ledger.abort":      {"Write given up", ""},
	"push.begin":        {"Sent to another server", ""},
	"push.enrolled":     {"Enrolled at another server", "good"},
	"push.disabled":     {"Disabled at another server", "good"},
	"push.enabled":      {"Enabled at another server", "good"},
	"push.failed":       {"Another server did not do it", "bad"},
}

// told are the parts of a detail that a history shows, in this order, with the words before them.
var told = []struct{ key, words string }{
	{"reason", ""}, {"until", "until"}, {"account", "of"}, {"id_check", "identity:"}, {"target", "at"}, {"kind", ""},
	{"browsers", "trusted browsers removed:"}, {"links", "links cancelled:"}, {"note", "note:"}, {"error", "error:"},
}

// deedOf puts an event into words.
func deedOf(e desk.Happened) deed {
	words := deeds[e.Action]
	d := deed{At: e.At, Actor: e.Actor, Action: cmp.Or(words.text, e.Action), Class: words.class}
	fields := details(e.Detail)
	var parts []string
	for _, t := range told {
		value, ok := fields[t.key]
		text := strings.TrimSpace(fmt.Sprint(value))
		if !ok || value == nil || slices.Contains([]string{"", "0", "false"}, text) {
			continue
		}
		parts = append(parts, strings.TrimSpace(t.words+" "+text))
	}
	d.Detail = strings.Join(parts, " · ")
	return d
}

// details reads the detail of an event; what is no JSON object has none.
func details(text string) map[string]any {
	fields := map[string]any{}
	in := json.NewDecoder(strings.NewReader(text))
	in.UseNumber()
	if in.Decode(&fields) != nil {
		return nil
	}
	return fields
}
