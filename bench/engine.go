package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"freshet/hnsw"
)

// engine is a process with an index that answers commands, as peer.py describes
// them. Freshet is one like the others: see serveEngine.
type engine struct {
	name    string
	version string
	missing string // why it cannot take part; it then has no process
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	rows    string // file for what is found
}

// answer is a line of an engine. Times are seconds.
type answer struct {
	Version string    `json:"version,omitempty"`
	Missing string    `json:"missing,omitempty"`
	Wall    float64   `json:"wall,omitempty"`
	CPU     float64   `json:"cpu,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Walls   []float64 `json:"walls,omitempty"`
	CPUs    []float64 `json:"cpus,omitempty"`
}

const (
	freshetName = "freshet"
	hnswlibName = "hnswlib"
)

// engineNames are those that peer.py knows, after Freshet's variants.
func engineNames() []string {
	return append(variantNames(), hnswlibName, "faiss-flat", "faiss-sq8", "usearch-f32", "usearch-i8")
}

// startEngines starts those named. One that cannot be had is there as missing.
func startEngines(ctx context.Context, d *dataset, names []string) (engines []*engine, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "freshet-bench-")
	if err != nil {
		return nil, nil, err
	}
	stop = func() error {
		errs := []error{}
		for _, e := range engines {
			errs = append(errs, e.stop())
		}
		return errors.Join(append(errs, os.RemoveAll(dir))...)
	}
	for _, name := range names {
		e := &engine{name: name, rows: filepath.Join(dir, name+".npy")}
		engines = append(engines, e)
		if err := e.start(ctx, d); err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		if e.missing != "" {
			progress("%s is missing: %s", e.name, e.missing)
		}
	}
	return engines, stop, nil
}

func (e *engine) start(ctx context.Context, d *dataset) error {
	args := []string{
		".cache/python-bench/bin/python", "bench/peer.py", e.name, d.basePath(), d.queriesPath(),
		strconv.Itoa(hnsw.DefaultM), strconv.Itoa(hnsw.DefaultEfConstruct),
	}
	if _, ours := variants[e.name]; ours {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		args = []string{self, "engine", e.name, d.basePath(), d.queriesPath()}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		e.missing = "no Python for it: bench/setup.sh"
		return nil //nolint:nilerr // the tables say what is missing
	}
	e.cmd, e.in, e.out = cmd, in, bufio.NewReader(out)
	hello, err := e.read()
	if err != nil {
		e.missing = err.Error()
		return e.stop()
	}
	e.version, e.missing = hello.Version, hello.Missing
	if e.missing != "" {
		return e.stop()
	}
	return nil
}

// stop ends the process. One that failed has said so already.
func (e *engine) stop() error {
	if e.cmd == nil {
		return nil
	}
	err := e.in.Close()
	_ = e.cmd.Wait()
	e.cmd = nil
	return err
}

func (e *engine) ask(format string, args ...any) (answer, error) {
	if _, err := fmt.Fprintf(e.in, format+"\n", args...); err != nil {
		return answer{}, fmt.Errorf("%s: %w", e.name, err)
	}
	return e.read()
}

func (e *engine) read() (a answer, err error) {
	line, err := e.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err != nil {
		return answer{}, fmt.Errorf("%s gave no answer: %w", e.name, err)
	}
	return a, nil
}

// search sends all queries once.
func (e *engine) search(ef, threads int) (answer, error) {
	return e.ask("search %d %d %d %s", ef, k, threads, e.rows)
}

// recall judges what the last search found.
func (e *engine) recall(d *dataset, kth []float32) (float64, error) {
	m, err := readNPY(e.rows)
	if err != nil {
		return 0, err
	}
	if m.rows != d.queries.rows || m.dim != k {
		return 0, fmt.Errorf("%s found %d × %d rows for %d queries", e.name, m.rows, m.dim, d.queries.rows)
	}
	n, rows := 0, make([]int, k)
	for q := range m.rows {
		for i, row := range m.row(q) {
			rows[i] = int(row)
		}
		n += found(d.queries.row(q), d.base, kth[q], rows)
	}
	return float64(n) / float64(k*m.rows), nil
}
