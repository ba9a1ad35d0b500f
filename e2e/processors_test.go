//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// processor is a kind of processor that the server runs on.
type processor struct {
	name     string
	build    []string // command that builds the server for it; nil: it is the one of the other tests
	emulator []string
}

// processors are this machine's with the best kernels that it has, the same without vector
// instructions, and two for which QEMU stands in.
var processors = []processor{
	{"native", nil, nil},
	{"plain", []string{"go", "build", "-tags", "purego"}, nil},
	{"avx2", nil, []string{"qemu-x86_64-static", "-cpu", "max"}}, // which has no AVX-512
	{"arm64", []string{"env", "GOARCH=arm64", "go", "build"}, []string{"qemu-aarch64-static"}},
}

// onProcessor has the server run on a kind of processor from its next start on.
func (f *freshet) onProcessor(p processor) {
	f.t.Helper()
	f.within = p.emulator
	if p.build == nil {
		return
	}
	f.binary = filepath.Join(f.t.TempDir(), "freshet")
	cmd := exec.Command("env", slices.Concat([]string{"CGO_ENABLED=0"}, p.build, []string{"-ldflags=-s -w", "-o", f.binary, "./cmd/freshet"})...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("build for %s: %v\n%s", p.name, err, out)
	}
}

// TestOtherProcessors takes data from each kind of processor to each other one. A snapshot is
// restored: searches find what they found, and a snapshot of that is the same to the last
// byte, with the neighbours in the graph. Then the folders are opened on another kind.
func TestOtherProcessors(t *testing.T) {
	t.Parallel()
	servers := make([]*freshet, len(processors))
	snapshots := make([][]byte, len(processors)) // by who wrote the points
	found := make([][]hits, len(processors))     // the same
	for i, p := range processors {
		f := newFreshet(t, "")
		f.onProcessor(p)
		f.start()
		fillOnProcessor(t, f, p.name)
		servers[i], found[i], snapshots[i] = f, searchOnProcessor(t, f, p.name), takeSnapshot(t, f, p.name)
	}
	for i, f := range servers {
		for j, writer := range processors {
			if i == j {
				continue
			}
			uploadSnapshot(t, f, writer.name, snapshots[j])
			how := fmt.Sprintf("written on %s, restored on %s", writer.name, processors[i].name)
			sameHits(t, how, found[j], searchOnProcessor(t, f, writer.name))
			if !bytes.Equal(takeSnapshot(t, f, writer.name), snapshots[j]) {
				t.Errorf("%s: a snapshot of it is another", how)
			}
		}
	}
	for i, f := range servers {
		f.end()
		next := (i + 1) % len(processors)
		f.within, f.binary = processors[next].emulator, servers[next].binary
		f.start()
		for j, writer := range processors {
			how := fmt.Sprintf("written on %s, in a folder of %s, opened on %s", writer.name, processors[i].name, processors[next].name)
			sameHits(t, how, found[j], searchOnProcessor(t, f, writer.name))
			if !bytes.Equal(takeSnapshot(t, f, writer.name), snapshots[j]) {
				t.Errorf("%s: a snapshot of it is another", how)
			}
		}
		f.end()
	}
}

// dimensionsOnProcessor are so many that the graph is walked on codes of both kinds.
const dimensionsOnProcessor = 160

func vectorsOnProcessor(seed uint64, n int) [][]float32 {
	random := rand.New(rand.NewPCG(seed, 0))
	vectors := make([][]float32, n)
	for i := range vectors {
		vectors[i] = make([]float32, dimensionsOnProcessor)
		for d := range vectors[i] {
			vectors[i][d] = float32(random.NormFloat64())
		}
	}
	return vectors
}

// fillOnProcessor makes a collection with dense and sparse vectors.
func fillOnProcessor(t *testing.T, f *freshet, collection string) {
	t.Helper()
	vectors := map[string]any{}
	for _, metric := range []string{"Cosine", "Euclid", "Manhattan"} {
		vectors[metric] = map[string]any{"size": dimensionsOnProcessor, "distance": metric}
	}
	config := map[string]any{"vectors": vectors, "sparse_vectors": map[string]any{"sparse": map[string]string{"modifier": "idf"}}}
	if err := f.call("PUT", "/collections/"+collection, nil, config, nil); err != nil {
		t.Fatal(err)
	}
	var points []any
	for i, v := range vectorsOnProcessor(1, 200) {
		points = append(points, map[string]any{"id": i, "payload": map[string]any{"n": i}, "vector": map[string]any{
			"Cosine": v, "Euclid": v, "Manhattan": v,
			"sparse": map[string]any{"indices": []int{i % 7, 10 + i%11}, "values": v[:2]},
		}})
	}
	for some := range slices.Chunk(points, 100) {
		if err := f.call("PUT", "/collections/"+collection+"/points?wait=true", nil, map[string]any{"points": some}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// hits are what a search found.
type hits []struct {
	ID    int
	Score float64
}

// searchOnProcessor searches by each kind of vector.
func searchOnProcessor(t *testing.T, f *freshet, collection string) []hits {
	t.Helper()
	var all []hits
	for _, v := range vectorsOnProcessor(2, 5) {
		for _, using := range []string{"Cosine", "Euclid", "Manhattan", "sparse"} {
			query := map[string]any{"query": v, "using": using, "limit": 10}
			if using == "sparse" {
				query["query"] = map[string]any{"indices": []int{3, 15}, "values": v[:2]}
			}
			var result struct{ Points hits }
			if err := f.call("POST", "/collections/"+collection+"/points/query", nil, query, &result); err != nil {
				t.Fatal(err)
			}
			if len(result.Points) != 10 {
				t.Fatalf("%d hits", len(result.Points))
			}
			all = append(all, result.Points)
		}
	}
	return all
}

// sameHits compares but for the rounding of scores, which is the processor's, and so for the
// order of hits that are as good.
func sameHits(t *testing.T, how string, want, got []hits) {
	t.Helper()
	for i := range want {
		ids := map[int]int{}
		for k, w := range want[i] {
			g := got[i][k]
			ids[w.ID]++
			ids[g.ID]--
			if math.Abs(g.Score-w.Score) > 1e-5*math.Abs(w.Score)+1e-6 {
				t.Errorf("%s: search %d found a score of %v, want %v", how, i, g.Score, w.Score)
			}
		}
		for _, n := range ids {
			if n != 0 {
				t.Errorf("%s: search %d found %v, want %v", how, i, got[i], want[i])
				break
			}
		}
	}
}

func takeSnapshot(t *testing.T, f *freshet, collection string) []byte {
	t.Helper()
	path := "/collections/" + collection + "/snapshots"
	var info struct{ Name string }
	if err := f.call("POST", path, nil, nil, &info); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(f.url + path + "/" + info.Name)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
	return snapshot
}

func uploadSnapshot(t *testing.T, f *freshet, collection string, snapshot []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(file, snapshot, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "snapshot", "upload", file, "--collection", collection, "--url", f.url).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
