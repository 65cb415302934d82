package paper

import "strings"

// kind is what a line of a filled-in template is.
type kind int

const (
	paragraph kind = iota
	title          // "# "
	heading        // "## "
	bullet         // "- "
	row            // "label :: value"; left out when the value is empty
	box            // "[box] "
	sign           // "[sign label]": a line to write on
	code           // "[qr]" or "[qr text]": the receipt's code, or the text's
	bar            // "[code128 text]"
	cut            // "[cut]": the next part begins
	gap            // an empty line
)

// block is a piece of a page: label is set for rows alone.
type block struct {
	kind        kind
	label, text string
}

// blocks reads a filled-in template. With join, lines of text that follow one another are one paragraph, and go on a bullet. It takes every text.
func blocks(s string, join bool) []block {
	var out []block
	for line := range strings.Lines(s) {
		b := blockOf(strings.TrimSpace(line))
		last := len(out) - 1
		switch {
		case b.kind == row && b.text == "":
			continue
		case b.kind == gap && (last < 0 || out[last].kind == gap || out[last].kind == cut):
			continue
		case join && b.kind == paragraph && last >= 0 && (out[last].kind == paragraph || out[last].kind == bullet):
			out[last].text += " " + b.text
			continue
		case b.kind == cut && last >= 0 && out[last].kind == gap:
			out = out[:last]
		}
		out = append(out, b)
	}
	for len(out) > 0 && out[len(out)-1].kind == gap {
		out = out[:len(out)-1]
	}
	return out
}

func blockOf(line string) block {
	if line == "" {
		return block{kind: gap}
	}
	for _, m := range []struct {
		mark string
		kind kind
	}{{"## ", heading}, {"# ", title}, {"- ", bullet}, {"[box] ", box}} {
		if text, ok := strings.CutPrefix(line, m.mark); ok {
			return block{kind: m.kind, text: plain(text)}
		}
	}
	if inner, ok := strings.CutPrefix(line, "["); ok && strings.HasSuffix(inner, "]") {
		word, text, _ := strings.Cut(strings.TrimSuffix(inner, "]"), " ")
		if k, ok := map[string]kind{"sign": sign, "qr": code, "code128": bar, "cut": cut}[word]; ok {
			return block{kind: k, text: plain(text)}
		}
	}
	if label, value, ok := strings.Cut(line, " ::"); ok && !strings.ContainsRune(label, guard) {
		return block{kind: row, label: plain(label), text: plain(value)}
	}
	return block{kind: paragraph, text: plain(line)}
}

// plain is text as it is shown.
func plain(s string) string { return strings.TrimSpace(unguard(s)) }
