package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"freshet/server/sources"
)

// lookEvery is the time between looks at how many records wait.
const lookEvery = 500 * time.Millisecond

// wait asks a source to say when it is there, and prints that it is.
func (c *sourceClient) wait(ctx context.Context, source string, body any) error {
	path, err := c.path("/sources/" + url.PathEscape(source) + "/wait")
	if err != nil {
		return err
	}
	var result json.RawMessage
	err = c.watched(ctx, source, func() (err error) {
		result, err = c.fetch(ctx, http.MethodPost, body, nil, path)
		return err
	})
	if err != nil {
		return err
	}
	return c.print(result)
}

// watched runs do, while a bar shows how many of the records that waited at first are applied.
func (c *sourceClient) watched(ctx context.Context, source string, do func() error) error {
	if c.draw == nil {
		return do()
	}
	looking, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { c.watch(looking, source) })
	err := do()
	stop()
	wg.Wait()
	c.draw("", 0, 0)
	return err
}

func (c *sourceClient) watch(ctx context.Context, source string) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var first int64
	for {
		// Without an answer there is nothing to draw; what is waited for tells what is wrong.
		if lag, err := c.lag(ctx, source); err == nil && ctx.Err() == nil {
			first = max(first, lag)
			if first > 0 {
				c.draw("applying", first-lag, first)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lag returns how many records of a source wait.
func (c *sourceClient) lag(ctx context.Context, source string) (int64, error) {
	path, err := c.path("/sources/" + url.PathEscape(source) + "/status")
	if err != nil {
		return 0, err
	}
	raw, err := c.fetch(ctx, http.MethodGet, nil, nil, path)
	if err != nil {
		return 0, err
	}
	var status sources.Status
	if err := json.Unmarshal(raw, &status); err != nil {
		return 0, err
	}
	return waiting(status), nil
}

// waiting returns how many records are not applied, in all partitions together.
func waiting(s sources.Status) (lag int64) {
	for _, p := range s.Partitions {
		lag += p.Lag
	}
	return lag
}
