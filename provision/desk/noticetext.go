package desk

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Languages are those that notices are written in.
func Languages() []string { return []string{"de", "en"} }

// phrases are the texts of one language.
type phrases struct {
	hello, by, until, uses, browsers, links, object, layout string
	slot, account, certificate                              string

	kinds   map[NoticeKind][2]string // subject and first sentence; %s is the token, %d the count
	reasons map[token.Reason]string
}

// texts are the languages. Another one is told in English.
var texts = map[string]phrases{
	"en": {
		hello: "Hello %s,", by: "Done by: %s", until: "Until: %s", uses: "Uses: %d", layout: "2006-01-02 15:04 MST",
		browsers: "Browsers that are asked for a code again: %d", links: "Enrolment links that were cancelled: %d",
		slot: "Slot: %d", account: "Account: %s", certificate: "Certificate in PIV slot: %s",
		object: "If you know nothing of this, call your helpdesk now. This message holds no code and asks for none.",
		kinds: map[NoticeKind][2]string{
			NoticeBlocked:       {"Your token was blocked", "Your token %s was blocked. Its one-time passwords and codes are not accepted any more."},
			NoticeRestored:      {"Your token is back", "Your token %s is accepted again."},
			NoticeIssued:        {"A token was issued to you", "The token %s was issued to you."},
			NoticeShipped:       {"A token is on its way to you", "The token %s was posted to you. It is of no use before you showed that it arrived, with the number that you were told."},
			NoticeTempCode:      {"A temporary code was made for you", "A temporary code was made for you. It stands in for your token."},
			NoticeRecoveryCodes: {"New recovery codes were made for you", "New recovery codes were made for you; the former ones are not accepted any more. Codes: %d"},
			NoticeLink:          {"An app can be set up for you", "A link was made by which an authenticator app can be set up for you."},
			NoticeActivated:     {"An app was set up for you", "The authenticator app %s was set up for you. Its codes are accepted from now on."},
			NoticeErased:        {"Part of a token was erased", "On the token %s was erased or overwritten what is named below. It is of no use any more."},
			NoticeTaken:         {"Your token is not yours any more", "The token %s is not yours any more: it was taken back, given up, or given to somebody else. Nothing of it is accepted for you."},
		},
		reasons: map[token.Reason]string{
			token.ReasonLost: "Reason: lost", token.ReasonStolen: "Reason: stolen", token.ReasonDamaged: "Reason: damaged",
			token.ReasonForgotten: "Reason: forgotten", token.ReasonLeft: "Reason: left",
		},
	},
	"de": {
		hello: "Guten Tag %s,", by: "Veranlasst von: %s", until: "Bis: %s", uses: "Anzahl Anmeldungen: %d", layout: "02.01.2006 15:04 MST",
		browsers: "Browser, in denen wieder ein Code verlangt wird: %d", links: "Zurückgezogene Einrichtungslinks: %d",
		slot: "Slot: %d", account: "Konto: %s", certificate: "Zertifikat im PIV-Slot: %s",
		object: "Wenn Sie davon nichts wissen, rufen Sie bitte sofort Ihren Helpdesk an. Diese Nachricht enthält keinen Code und fragt nach keinem.",
		kinds: map[NoticeKind][2]string{
			NoticeBlocked:       {"Ihr Token wurde gesperrt", "Ihr Token %s wurde gesperrt. Seine Einmalpasswörter und Codes werden nicht mehr angenommen."},
			NoticeRestored:      {"Ihr Token ist wieder frei", "Ihr Token %s wird wieder angenommen."},
			NoticeIssued:        {"Ein Token wurde an Sie ausgegeben", "Das Token %s wurde an Sie ausgegeben."},
			NoticeShipped:       {"Ein Token ist an Sie unterwegs", "Das Token %s wurde an Sie verschickt. Es gilt erst, wenn Sie mit der Nummer, die Sie gehört haben, zeigen, dass es angekommen ist."},
			NoticeTempCode:      {"Für Sie wurde ein Ersatzcode erstellt", "Für Sie wurde ein befristeter Ersatzcode erstellt. Er vertritt Ihr Token."},
			NoticeRecoveryCodes: {"Für Sie wurden neue Notfallcodes erstellt", "Für Sie wurden neue Notfallcodes erstellt; die bisherigen gelten nicht mehr. Anzahl: %d"},
			NoticeLink:          {"Für Sie kann eine App eingerichtet werden", "Für Sie wurde ein Link erstellt, über den eine Authenticator-App eingerichtet werden kann."},
			NoticeActivated:     {"Für Sie wurde eine App eingerichtet", "Die Authenticator-App %s wurde für Sie eingerichtet. Ihre Codes gelten ab jetzt."},
			NoticeErased:        {"Ein Teil eines Tokens wurde gelöscht", "Auf dem Token %s wurde gelöscht oder überschrieben, was unten steht. Es gilt nicht mehr."},
			NoticeTaken:         {"Ihr Token gehört nicht mehr Ihnen", "Das Token %s gehört nicht mehr Ihnen: Es wurde zurückgenommen, aufgegeben oder an jemand anderen ausgegeben. Nichts davon wird für Sie noch angenommen."},
		},
		reasons: map[token.Reason]string{
			token.ReasonLost: "Grund: verloren", token.ReasonStolen: "Grund: gestohlen", token.ReasonDamaged: "Grund: beschädigt",
			token.ReasonForgotten: "Grund: vergessen", token.ReasonLeft: "Grund: ausgeschieden",
		},
	},
}

// Text is the notice in "de" or "en": a subject that holds nothing of anybody's input, and a body of short lines. Times are in
// the zone of this process.
func (n Notice) Text(language string) (subject, body string) {
	p, ok := texts[language]
	if !ok {
		p = texts["en"]
	}
	words := p.kinds[n.Kind]
	first := words[1]
	switch {
	case strings.Contains(first, "%s"):
		first = fmt.Sprintf(first, n.Facts.Token)
	case strings.Contains(first, "%d"):
		first = fmt.Sprintf(first, n.Facts.Count)
	}
	name := n.To.Name
	if name == "" {
		name = n.To.Account
	}
	lines := []string{fmt.Sprintf(p.hello, name), "", first, ""}
	add := func(yes bool, format string, v any) {
		if yes {
			lines = append(lines, fmt.Sprintf(format, v))
		}
	}
	at := func(t time.Time) string { return t.Local().Format(p.layout) }
	for _, slot := range n.Facts.Slots {
		add(true, p.slot, slot)
	}
	for _, account := range n.Facts.Accounts {
		add(true, p.account, oneLine(account))
	}
	for _, slot := range n.Facts.Certificates {
		add(true, p.certificate, slot)
	}
	lines = append(lines, at(n.Created))
	add(n.Facts.Reason != "", "%s", p.reasons[n.Facts.Reason])
	add(n.Facts.By != "", p.by, n.Facts.By)
	add(!n.Facts.Until.IsZero(), p.until, at(n.Facts.Until))
	add(n.Kind == NoticeTempCode, p.uses, n.Facts.Count)
	add(n.Facts.Browsers > 0, p.browsers, n.Facts.Browsers)
	add(n.Facts.Links > 0, p.links, n.Facts.Links)
	return words[0], strings.Join(append(lines, "", p.object, ""), "\n")
}

// oneLine is what a key calls an account, which may be anything, as it stands in a line of text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
