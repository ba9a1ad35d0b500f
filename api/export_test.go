package api

import "time"

// SettleIn changes how long connections are left alone.
func (l *Connections) SettleIn(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle = d
}

// Busy returns how many of the open connections have a request.
func (l *Connections) Busy() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open - l.quiet.Len()
}
