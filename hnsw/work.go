package hnsw

// Work counts what searches read, which is what their time goes to. A benchmark
// holds it against what the memory can deliver.
type Work struct {
	Lists     int // of neighbours
	Codes     int // distances on codes
	CodeBytes int // of the rows of these codes
	Vectors   int // distances on vectors
}

// report adds the work done so far to w, if there is one.
func (s *searcher) report(w *Work) {
	if w == nil {
		return
	}
	w.Lists += s.work.Lists
	w.Codes += s.work.Codes
	w.CodeBytes += s.work.CodeBytes
	w.Vectors += s.work.Vectors
}
