package main

// tally counts the rows of an import. Of what was refused it keeps the first mostShown reasons, however many there are.
type tally struct {
	done, same, refused int
	reasons             []string
}

// mostShown is how many refused rows are told on the terminal.
const mostShown = 20

func (t *tally) rows() int { return t.done + t.same + t.refused }

func (t *tally) bad(why string) {
	t.refused++
	if len(t.reasons) < mostShown {
		t.reasons = append(t.reasons, why)
	}
}

// merge adds the rows of another file.
func (t *tally) merge(of tally) {
	t.done += of.done
	t.same += of.same
	t.refused += of.refused
	t.reasons = append(t.reasons, of.reasons[:min(len(of.reasons), mostShown-len(t.reasons))]...)
}

// problem is nil if nothing was refused: exit code 8 if other rows went in, 2 if none did.
func (t *tally) problem(what string) error {
	if t.refused == 0 {
		return nil
	}
	p := problemf(exitPartly, "%s refused; %s", count(t.refused, "row"), what)
	if t.done+t.same == 0 {
		if t.refused == 1 {
			return usagef("%s", t.reasons[0])
		}
		p = usagef("all %d rows refused", t.refused)
	}
	for _, r := range t.reasons {
		p = p.hint("%s", r)
	}
	if more := t.refused - len(t.reasons); more > 0 {
		p = p.hint("and %d more", more)
	}
	return p
}
