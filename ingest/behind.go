package ingest

import "time"

// Behind counts the sources that still read what they missed, and the records that
// wait: of partitions where one has waited for longer than limit, or nobody knows for
// how long. What cannot be consumed (a broker that is away, a
// gap, a pause) does not count: nobody knows when it will end.
func (m *Manager) Behind(limit time.Duration) (sources int, records int64) {
	for _, s := range m.Status() {
		waiting := int64(0)
		for _, p := range s.Partitions {
			if s.State == Running && p.State == Running && p.Lag > 0 && (p.LagTime == UnknownAge || p.LagTime > limit) {
				waiting += p.Lag
			}
		}
		if waiting > 0 || s.State == Starting {
			sources++
			records += waiting
		}
	}
	return sources, records
}
