package main

import (
	"context"
	"errors"

	"freshet/ingest"
)

// batchSizes are bounds of a batch that are kept, in place of those the controller finds.
var batchSizes = []int{1, 10, 50, 100, 500, 2000}

// benchBatches consumes a backlog in batches of fixed sizes, and of the sizes that the
// controller finds.
func benchBatches(ctx context.Context, d *dataset) (s *section, err error) {
	broker, stop, err := startBroker(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	progress("%s: filling a topic", d.name)
	if _, err := fillTopic(ctx, broker, d.base); err != nil {
		return nil, err
	}
	t := table{Head: []string{"batch, records", "records/s", "CPU µs a record", "P99 of a batch, ms"}}
	measure := func(name string, law ingest.Batch) error {
		progress("%s: batches of %s", d.name, name)
		c, err := catchUp(ctx, broker, d, law, false)
		if err != nil {
			return err
		}
		rows := float64(d.base.rows)
		t.Rows = append(t.Rows, []string{
			name, count(rows / c.took.wall.Seconds()), micros(c.took.cpu.Seconds() / rows), count(1e3 * c.batchP99.Seconds()),
		})
		return nil
	}
	for _, size := range batchSizes {
		if err := measure(thousands(size), ingest.Batch{Min: size, Max: size}); err != nil {
			return nil, err
		}
	}
	if err := measure("as it adapts", ingest.Batch{}); err != nil {
		return nil, err
	}
	return &section{Title: "Batches of a source: " + d.name, Lead: d.describe() + ", all in the topic when the source starts.", Tables: []table{t}}, nil
}
