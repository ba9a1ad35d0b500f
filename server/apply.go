package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// request is one Apply, or another job, on its way through the writer.
type request struct {
	ctx     context.Context // of who waits for it
	job     func() error    // in place of a batch
	batch   Batch
	set     *vectorSet // that the batch was checked with
	applied Applied
	err     error
	done    chan struct{}
}

// Groups of requests share one commit, and so one sync of the log. The bounds
// keep a group's latency near that of its largest member.
const (
	maxGroupRequests = 64
	maxGroupPoints   = 512
)

// points returns how many points the batch names. An operation on a filter counts as one: how
// many it will find is not known.
func (b *Batch) points() int {
	n := 0
	for i := range b.Ops {
		n += max(len(b.Ops[i].Points)+len(b.Ops[i].Select.IDs), 1)
	}
	return n
}

// Apply makes the batch's changes, in order, and returns once every later read
// sees them. It takes ownership of the batch and what it refers to.
//
// Operations are checked first (see Check); a batch with a wrong one changes
// nothing. An operation on points some of which do not exist changes the others, and
// fails with NotFound unless the batch is Lenient: the operations before it stay
// applied, those after it are not tried. When ctx ends first the batch may or may not be
// applied. The error of an operation is an ItemError.
func (c *Collection) Apply(ctx context.Context, b Batch) (Applied, error) {
	set := c.set()
	if err := c.checkAll(b.Ops); err != nil {
		return Applied{}, err
	}
	return c.submit(ctx, &request{ctx: ctx, batch: b, set: set, done: make(chan struct{})})
}

// do has the writer do a job between two groups. When ctx ends first it may or
// may not be done.
func (c *Collection) do(ctx context.Context, job func() error) error {
	_, err := c.submit(ctx, &request{ctx: ctx, job: job, done: make(chan struct{})})
	return err
}

func (c *Collection) submit(ctx context.Context, req *request) (Applied, error) {
	select {
	case <-c.closing:
		return Applied{}, errClosed
	default:
	}
	select {
	case c.queue <- req:
	case <-c.closing:
		return Applied{}, errClosed
	case <-ctx.Done():
		return Applied{}, deadline(ctx)
	}
	select {
	case <-req.done:
		return req.applied, req.err
	case <-c.stopped:
		// The writer may have served the request just before it ended.
		select {
		case <-req.done:
			return req.applied, req.err
		default:
			return Applied{}, errClosed
		}
	case <-ctx.Done():
		return Applied{}, deadline(ctx)
	}
}

// deadline turns the end of a context into an error a client understands.
func deadline(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Kind: Timeout, Text: "the deadline passed before the operation was done"}
	}
	return context.Cause(ctx)
}

// write is the writer goroutine: it ends once closing is closed and the queue
// is empty. Between groups, and when there is nothing else to do, it repairs the
// graphs.
func (c *Collection) write() {
	defer close(c.stopped)
	defer c.expiry.Stop()
	defer c.tidying.Stop()
	for {
		idle := c.idle()
		select {
		case req := <-c.queue:
			c.serve(req)
			c.keepUp()
		case <-idle:
			c.maintain()
		case <-c.expiry.C:
			c.expire()
		case <-c.tidying.C:
			c.tidy()
		case <-c.closing:
			for {
				select {
				case req := <-c.queue:
					c.serve(req)
				default:
					return
				}
			}
		}
	}
}

// serve applies one request together with those that wait behind it, up to a job.
func (c *Collection) serve(first *request) {
	if first.job != nil {
		first.err = first.job()
		close(first.done)
		return
	}
	group := []*request{first}
	for points := first.batch.points(); len(group) < maxGroupRequests && points < maxGroupPoints; {
		select {
		case req := <-c.queue:
			if req.job != nil {
				defer c.serve(req)
				break
			}
			group = append(group, req)
			points += req.batch.points()
			continue
		default:
		}
		break
	}
	if err := asFull(c.store.Writable()); err != nil {
		for _, req := range group {
			req.err = err
			close(req.done)
		}
		return
	}
	tx := c.begin()
	for _, req := range group {
		if grows(req.batch.Ops) {
			req.err = inMemory(c.memory)
		}
		if req.err == nil {
			req.err = tx.run(req)
		}
	}
	if err := tx.flush(); err != nil {
		for _, req := range group {
			if req.err == nil {
				req.err = err
			}
		}
	}
	for _, req := range group {
		req.applied.Commit, req.applied.Index = tx.commitTime, tx.indexTime
		close(req.done)
	}
}

// run adds a request's changes to the transaction.
func (tx *tx) run(req *request) error {
	if tx.failed != nil {
		return tx.failed
	}
	if req.set != tx.c.set() {
		if err := tx.c.checkAll(req.batch.Ops); err != nil {
			return err
		}
	}
	tx.sync = tx.sync || req.batch.Sync
	for i := range req.batch.Ops {
		err := tx.op(req.ctx, &req.batch.Ops[i], &req.applied)
		if err != nil && (!req.batch.Lenient || KindOf(err) != NotFound) {
			return &ItemError{i, err}
		}
	}
	for _, p := range req.batch.Positions {
		tx.position(p)
	}
	tx.letters = append(tx.letters, req.batch.DeadLetters...)
	tx.redriven = append(tx.redriven, req.batch.Redriven...)
	return nil
}

// op adds one operation's changes to the transaction. The error of a point that does not
// exist comes once the others are changed.
func (tx *tx) op(ctx context.Context, op *Op, applied *Applied) error {
	c := tx.c
	c.operation++
	applied.Operation = c.operation
	version := op.Version
	if version.Stream == (Stream{}) {
		version.Offset = int64(c.operation)
		version.Time = c.restTime()
	}
	var missing error
	change := func(key []byte, given *Point) error {
		err := tx.change(op, key, given, version, applied)
		if err != nil && KindOf(err) == NotFound {
			missing = cmp.Or(missing, err)
			return nil
		}
		return err
	}
	switch op.Kind {
	case Upsert, UpdateVectors:
		if op.conditional() {
			tx.settleCondition(op)
		}
		for i := range op.Points {
			p := &op.Points[i]
			if err := change(p.ID.AppendKey(nil), p); err != nil {
				return err
			}
		}
		return missing
	case Delete, DeleteVectors, SetPayload, OverwritePayload, DeletePayload, ClearPayload:
		keys, err := tx.selected(ctx, op.Select)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := change(key, nil); err != nil {
				return err
			}
		}
		return missing
	default:
		return fmt.Errorf("unknown operation kind %d", op.Kind)
	}
}

// selected returns the encoded ids an operation works on. A filter is
// evaluated on what the operations before it made, so those are committed first. That can
// take long, and nobody else can write meanwhile: it ends with ctx.
func (tx *tx) selected(ctx context.Context, s Select) ([][]byte, error) {
	if s.IDs != nil {
		keys := make([][]byte, len(s.IDs))
		for i, id := range s.IDs {
			keys[i] = id.AppendKey(nil)
		}
		return keys, nil
	}
	if err := tx.flush(); err != nil {
		return nil, err
	}
	sel, err := tx.c.choose(s.Filter)
	if err != nil {
		return nil, err
	}
	defer sel.v.release()
	if err := sel.resolve(ctx); err != nil {
		return nil, err
	}
	return sel.keys(nil), nil
}
