package pipeline

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"freshet/ingest"
)

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s; %s; %s\n", r.Vectors, r.Distance, r.Machine)
	for i := range r.Steps {
		s := &r.Steps[i]
		fmt.Fprintf(&text, "\n%d records/s: %d produced at %.0f/s, %d behind in the end (%s), batch limit %d\n\n", s.Rate, s.Records,
			s.Produced, s.Lag, s.Verdict(), s.BatchLimit)
		if err := s.text(&text); err != nil {
			return err
		}
	}
	if h := r.Highest; h != nil {
		fmt.Fprintf(&text, "\n%s\n", h)
	}
	for _, x := range r.readings() {
		fmt.Fprintf(&text, "\n%s\n\n", x)
		if err := x.text(&text); err != nil {
			return err
		}
	}
	if c := r.Recall; c != nil {
		fmt.Fprintf(&text, "\nrecall@%d of %d queries against exact searches of %d points: %.3f; a search took %.2f ms, P99 %.2f\n",
			c.K, c.Queries, c.Points, c.Recall, c.Search.P50, c.Search.P99)
	}
	if r.Error != "" {
		fmt.Fprintf(&text, "\nThe run came to no good end: %s\n", r.Error)
	}
	fmt.Fprintf(&text, "\n%s\n", wrap(r.Scope()))
	_, err := io.WriteString(w, text.String())
	return err
}

// titled is a reading and how to tell of it.
type titled struct {
	*Reading
	Title, what string
}

func (t titled) String() string {
	text := fmt.Sprintf(t.what, t.Records, t.Seconds, t.PerSecond)
	if t.Letters > 0 {
		text += fmt.Sprintf("; %d of them were no points, but dead letters", t.Letters)
	}
	return text
}

// readings lists what was read. The records of a backlog are old, so that what they took
// until they came, and all together, is their age.
func (r *Report) readings() (list []titled) {
	if r.Backlog != nil {
		list = append(list, titled{r.Backlog, "A backlog", "A backlog of %d records was consumed in %.1f s: %.0f records/s (transit and total are the records' age)"})
	}
	if r.Live != nil {
		list = append(list, titled{r.Live, "What came then", "%d records came in the next %.1f s: %.0f records/s"})
	}
	return list
}

// text writes the table, beside the article's pipeline if that is there.
func (t *Table) text(w io.Writer) error {
	var rows strings.Builder
	others := ""
	if t.Compared() {
		others = "the pipeline this replaces"
	}
	fmt.Fprintf(&rows, "ms\tP50\tP99\t%s\t\n", others)
	for _, stage := range t.Stages {
		fmt.Fprintf(&rows, "%s\t%s\t%s\t\n", stage.Name, strings.Join(stage.Ours(), "\t"), stage.Theirs())
	}
	if s := t.Search; s != nil {
		fmt.Fprintf(&rows, "a search meanwhile\t%.2f\t%.2f\t\t\n", s.P50, s.P99)
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if _, err := io.WriteString(columns, rows.String()); err != nil {
		return err
	}
	return columns.Flush()
}

// Ours is what was measured, P50 and P99: nothing where there was nothing to do.
func (s *Stage) Ours() []string {
	if s.Name == string(ingest.Embed) && s.P99 == 0 {
		return []string{"none", "none"}
	}
	return []string{fmt.Sprintf("%.2f", s.P50), fmt.Sprintf("%.2f", s.P99)}
}

// Theirs is the article's time, "" where it has none.
func (s *Stage) Theirs() string {
	switch {
	case s.Article == 0:
		return ""
	case s.Name == string(ingest.Total):
		return fmt.Sprintf("%.0f, of which %.0f inference", s.Article, article[ingest.Embed])
	default:
		return fmt.Sprintf("%.0f", s.Article)
	}
}

// Verdict says whether the rate was kept up with, and whether there was such a rate.
func (s *Step) Verdict() string {
	verdict := "the lag grew"
	if s.KeepsUp {
		verdict = "kept up with"
	}
	if s.ProducerShort() {
		verdict = fmt.Sprintf("the producer reached only %.0f/s; %s", s.Produced, verdict)
	}
	return verdict
}

func (h *Highest) String() string {
	switch {
	case h.PerSecond == 0:
		return fmt.Sprintf("No rate was kept up with: the lag grew at %.0f records/s", h.GrowsAt)
	case h.GrowsAt > 0:
		return fmt.Sprintf("Highest rate kept up with: %.0f records/s; at %.0f the lag grew", h.PerSecond, h.GrowsAt)
	case h.Asked > 0:
		return fmt.Sprintf("Kept up with %.0f records/s; where the lag would grow is not known: asked for %d, the producer reached no more", h.PerSecond, h.Asked)
	default:
		return fmt.Sprintf("Kept up with %.0f records/s, the highest rate that was tried", h.PerSecond)
	}
}

// Scope says what is in the times and what is not.
func (r *Report) Scope() string {
	embeddings := fmt.Sprintf("Not in them: to make the embeddings, which were there before; of the other pipeline's %.0f ms that is %.0f, "+
		"so that %.0f are to be compared with.", article[ingest.Total], article[ingest.Embed], articleRest)
	if r.embeds() {
		embeddings = fmt.Sprintf("To make the embeddings is in them, as it is in the other pipeline's %.0f ms.", article[ingest.Total])
	}
	return "In these times: all from a record's timestamp, by way of the brokers, until searches find it. " + embeddings +
		" Producer, database and searches share this machine. A timestamp has whole milliseconds, and the clocks of " +
		"producer, brokers and database have to agree."
}

// embeds says whether vectors were made of the records' texts.
func (r *Report) embeds() bool {
	return slices.ContainsFunc(r.readings(), func(x titled) bool {
		return slices.ContainsFunc(x.Stages, func(s Stage) bool { return s.Name == string(ingest.Embed) && s.P99 > 0 })
	})
}

// wrap breaks a text into lines.
func wrap(text string) string {
	const width = 100
	var lines strings.Builder
	n := 0
	for word := range strings.FieldsSeq(text) {
		if n > 0 && n+1+len(word) > width {
			lines.WriteByte('\n')
			n = 0
		} else if n > 0 {
			lines.WriteByte(' ')
			n++
		}
		lines.WriteString(word)
		n += len(word)
	}
	return lines.String()
}
