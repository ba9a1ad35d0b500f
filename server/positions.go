package server

// Positions returns how far each stream is applied and visible, by topic,
// partition and source.
func (c *Collection) Positions() ([]Position, error) {
	v, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	return sortedPositions(v.applied), nil
}

// Position returns how far one stream is applied; false before its first batch.
func (c *Collection) Position(s Stream) (Position, bool, error) {
	v, err := c.acquire()
	if err != nil {
		return Position{}, false, err
	}
	defer v.release()
	p, ok := v.applied[s]
	p.Stream = s
	return p, ok, nil
}
