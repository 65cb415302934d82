package postgres

import (
	"database/sql/driver"
	"strconv"
	"strings"
	"sync"
)

// binder rewrites statements. The zero value is ready, and safe for concurrent use.
type binder struct {
	texts sync.Map // of statements: from string to string
}

// keptText is the longest statement whose rewriting is remembered, in bytes. Longer ones have lists, of one length or another.
const keptText = 2000

func (b *binder) text(text string) string {
	if v, ok := b.texts.Load(text); ok {
		return v.(string)
	}
	out := number(text)
	if len(text) <= keptText {
		b.texts.Store(text, out)
	}
	return out
}

// number writes ? and ?1 as PostgreSQL's $1. As in SQLite, a ? without a number is one more than the highest before it. Nothing
// between quotes is a placeholder.
func number(text string) string {
	var out strings.Builder
	highest := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\'', '"':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				end = len(text) - i - 2
			}
			out.WriteString(text[i : i+end+2])
			i += end + 1
		case '?':
			n, digits := 0, 0
			for ; i+1+digits < len(text) && text[i+1+digits] >= '0' && text[i+1+digits] <= '9' && digits < 5; digits++ {
				n = 10*n + int(text[i+1+digits]-'0')
			}
			if digits == 0 {
				n = highest + 1
			}
			highest = max(highest, n)
			out.WriteString("$" + strconv.Itoa(n))
			i += digits
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// value is an argument as a column takes it: a flag is 0 or 1; a text is one that PostgreSQL can hold.
func value(v any) any {
	out, err := driver.DefaultParameterConverter.ConvertValue(v)
	if err != nil {
		return v // the driver says why
	}
	switch x := out.(type) {
	case bool:
		if x {
			return int64(1)
		}
		return int64(0)
	case string:
		return Clean(x)
	}
	return out
}

// Clean is a text that PostgreSQL can hold: U+FFFD stands for each run of bytes that is not UTF-8, and for each NUL.
func Clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
