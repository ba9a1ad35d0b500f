package embed

import (
	"fmt"
	"time"
)

// FaultError says that the endpoint cannot be used for now, or not as it is
// configured. It is never the fault of one text: what was asked for may be asked for
// again.
type FaultError struct {
	Model      string
	Text       string
	RetryAfter time.Duration // 0: not known
}

func (e *FaultError) Error() string { return fmt.Sprintf("embedding model %q: %s", e.Model, e.Text) }

// RefusedError says that the endpoint has no vector for a text, while it has for
// others.
type RefusedError struct {
	Model string
	Text  string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("embedding model %q: %s", e.Model, e.Text) }
