// Command plot draws a benchmark's curves: it reads the plot as JSON from standard
// input and writes SVG to standard output. It is a module of its own, so that what
// it needs stays out of the database's.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is what bench sends.
type chart struct {
	Title, X, Y string
	Lines       []struct {
		Name   string
		Points [][2]float64
	}
}

func main() {
	if err := draws(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

const (
	width  = 760 * vg.Length(1)
	height = 460 * vg.Length(1)
	margin = 15 * vg.Length(1)
	// Below this recall nobody searches; the interesting part gets the room.
	leastRecall = 0.8

	family = "Liberation Sans"
)

// colours can be told apart by the colour-blind, too (Okabe and Ito, 2008).
var colours = []color.RGBA{
	{0xd5, 0x5e, 0x00, 0xff},
	{0x00, 0x72, 0xb2, 0xff},
	{0x00, 0x9e, 0x73, 0xff},
	{0xcc, 0x79, 0xa7, 0xff},
	{0xe6, 0x9f, 0x00, 0xff},
	{0x56, 0xb4, 0xe9, 0xff},
	{0x00, 0x00, 0x00, 0xff},
}

func draws(in io.Reader, out io.Writer) error {
	var c chart
	if err := json.NewDecoder(in).Decode(&c); err != nil {
		return fmt.Errorf("read the plot: %w", err)
	}
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	plotter.DefaultFont = plot.DefaultFont
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.Title, c.X, c.Y
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
	p.X.Tick.Marker = plot.ConstantTicks(recallTicks())
	p.Legend.Left, p.Legend.XOffs, p.Legend.YOffs = true, vg.Points(20), vg.Points(55) // inside of the axes
	p.Legend.Padding = vg.Points(2)
	for _, style := range []*vg.Length{&p.Title.TextStyle.Font.Size, &p.X.Label.TextStyle.Font.Size, &p.Y.Label.TextStyle.Font.Size, &p.Legend.TextStyle.Font.Size} {
		*style = vg.Points(13)
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{0xdd}, color.Gray{0xdd}
	p.Add(grid)
	drawn := false
	for i, l := range c.Lines {
		var points plotter.XYs
		for _, xy := range l.Points {
			if xy[1] > 0 && xy[0] >= leastRecall {
				points = append(points, plotter.XY{X: xy[0], Y: xy[1]})
			}
		}
		if len(points) == 0 {
			continue
		}
		drawn = true
		curve, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		colour := colours[i%len(colours)]
		curve.Color, marks.Color = colour, colour
		curve.Width, marks.Radius, marks.Shape = vg.Points(1.8), vg.Points(2.6), draw.CircleGlyph{}
		p.Add(curve, marks)
		p.Legend.Add(l.Name, curve, marks)
	}
	if !drawn {
		return fmt.Errorf("no point of recall %.1f or more", leastRecall)
	}
	p.X.Min, p.X.Max = leastRecall, 1
	canvas := vgsvg.New(width, height)
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	// Few machines have the font that the text was measured with.
	_, err := out.Write(bytes.ReplaceAll(svg.Bytes(), []byte("font-family:"+family), []byte("font-family:"+family+", Arial, Helvetica, sans-serif")))
	return err
}

// decades are the ticks at 1, 2 and 5 times the powers of ten.
func decades(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high; power *= 10 {
		for _, digit := range []float64{1, 2, 5} {
			if x := digit * power; x >= low && x <= high {
				ticks = append(ticks, plot.Tick{Value: x, Label: fmt.Sprintf("%.0f", x)})
			}
		}
	}
	return ticks
}

func recallTicks() []plot.Tick {
	var ticks []plot.Tick
	for percent := 80; percent <= 100; percent += 2 {
		ticks = append(ticks, plot.Tick{Value: float64(percent) / 100, Label: fmt.Sprintf("%.2f", float64(percent)/100)})
	}
	return ticks
}
