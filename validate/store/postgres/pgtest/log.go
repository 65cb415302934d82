package pgtest

import (
	"bytes"
	"sync"
)

// log keeps what a server says, and tells when it says something.
type log struct {
	mu    sync.Mutex
	text  []byte
	from  int // where the words awaited are looked for
	words []byte
	said  chan struct{} // nil: nothing is awaited
}

// await is closed when words appear in what is said from now on.
func (l *log) await(words string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from, l.words, l.said = len(l.text), []byte(words), make(chan struct{})
	return l.said
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if l.said != nil && bytes.Contains(l.text[l.from:], l.words) {
		close(l.said)
		l.said = nil
	}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
