package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file")

const example = `{"Title": "some vectors", "X": "recall@10", "Y": "queries/s", "Lines": [
	{"Name": "one", "Points": [[0.7, 9000], [0.9, 5000], [0.99, 1000]]},
	{"Name": "two <&>", "Points": [[0.85, 800], [0.95, 0], [0.97, 300]]},
	{"Name": "poor", "Points": [[0.5, 800]]}]}`

func TestPlot(t *testing.T) {
	var svg bytes.Buffer
	if err := draws(strings.NewReader(example), &svg); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/plot.svg", svg.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/plot.svg")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, svg.Bytes()) {
		t.Errorf("the plot differs from testdata/plot.svg: if that is right, run with -update and look at it")
	}
	texts := map[string]bool{}
	for d := xml.NewDecoder(&svg); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts[strings.TrimSpace(string(text))] = true
		}
	}
	for _, text := range []string{"some vectors", "recall@10", "queries/s", "one", "two <&>", "0.90", "500", "1000", "2000"} {
		if !texts[text] {
			t.Errorf("%q is not in the plot", text)
		}
	}
	if texts["poor"] {
		t.Error("a line without a point in range is in the legend")
	}
}

func TestNothingToPlot(t *testing.T) {
	for _, text := range []string{"", "{}", `{"Lines": [{"Name": "poor", "Points": [[0.5, 800]]}]}`} {
		if err := draws(strings.NewReader(text), io.Discard); err == nil {
			t.Errorf("%q was drawn", text)
		}
	}
}
