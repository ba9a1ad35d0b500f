package ingest_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/sources"
)

// letterStores are the settings by where a source keeps its dead letters.
var letterStores = map[string]string{"store": "", "topic": `,"errors.deadletterqueue.topic.name":"t.dlq"`}

// TestRedrive mends the settings and tries dead letters again, from the collection's
// own store and from a topic.
func TestRedrive(t *testing.T) {
	for name, setting := range letterStores {
		t.Run(name, func(t *testing.T) {
			r := newBare(t, 1)
			r.create(1)
			r.run()
			r.add(`{"name":"src","topics":["t"]` + setting + `}`)
			old := value(`{"key":"stale","embedding":[1],"n":1}`)
			old.Timestamp = time.Now().Add(-time.Hour)
			r.produce(old, value(`{"key":"good","embedding":[1],"n":2}`), value(`{"key":"long","embedding":[1,2]}`),
				value(`nonsense`), value(`{"id":"stale","embedding":[1],"n":5}`))
			r.applied(0, 4)
			letters := func(limit int, reason string) []sources.Letter {
				t.Helper()
				list, err := r.manager.DeadLetters(t.Context(), src, limit, sources.LetterFilter{Reason: reason})
				if err != nil {
					t.Fatal(err)
				}
				return list
			}
			if n := len(letters(10, "")); n != 4 {
				t.Fatalf("%d dead letters", n)
			}
			if l := letters(1, "no_id"); len(l) != 1 || l[0].Offset != 0 || l[0].Topic != "t" || string(l[0].Value) != string(old.Value) {
				t.Errorf("%+v", l)
			}
			if _, err := r.manager.Patch(t.Context(), src, []byte(`{"id":"value.key"}`)); err != nil {
				t.Fatal(err)
			}
			redrive := func(what sources.Redrive, want sources.Redriven) {
				t.Helper()
				got, err := r.manager.Redrive(t.Context(), src, what)
				got.Errors = nil
				if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%+v: %+v, %v, want %+v", what, got, err, want)
				}
			}
			redrive(sources.Redrive{DryRun: true}, sources.Redriven{DryRun: true, Matched: 4, Applied: 2, Failed: 2})
			r.expect(map[string]string{"stale": `{"n":5}`})
			redrive(sources.Redrive{Filter: sources.LetterFilter{Reason: "undecodable"}}, sources.Redriven{Matched: 1, Failed: 1})
			redrive(sources.Redrive{}, sources.Redriven{Matched: 4, Applied: 1, Stale: 1, Failed: 2})
			r.expect(map[string]string{"good": `{"n":2}`, "stale": `{"n":5}`})
			want := map[string]int{"store": 2, "topic": 4}[name]
			if n := len(letters(10, "")); n != want {
				t.Errorf("%d dead letters, want %d", n, want)
			}
			r.restart()
			r.produce(value(`more nonsense`))
			r.applied(0, 5)
			if l := letters(10, ""); len(l) != want+1 || l[want].Offset != 5 {
				t.Errorf("after a restart: %+v", l)
			}
			if _, err := r.manager.DeadLetters(t.Context(), src, 0, sources.LetterFilter{}); server.KindOf(err) != server.Invalid {
				t.Errorf("limit 0: %v", err)
			}
		})
	}
}

// TestLettersSelected has two sources of one collection, which keep their dead letters in one
// place: each shows and tries again its own, and of these those that are asked for.
func TestLettersSelected(t *testing.T) {
	for name, setting := range letterStores {
		t.Run(name, func(t *testing.T) {
			r := newBare(t, 2)
			r.create(1)
			r.run()
			for _, source := range []string{"src", "other"} {
				r.add(fmt.Sprintf(`{"name":%q,"topics":["t"]%s}`, source, setting))
			}
			bad := func(partition int32) *kgo.Record {
				rec := value(`{"key":"k","embedding":[1]}`)
				rec.Partition = partition
				return rec
			}
			r.produce(bad(0), bad(1), bad(1), bad(1))
			r.lists("t:0 running 1/1", "t:1 running 3/3")
			if offsets, err := r.manager.Offsets(src); err != nil || len(offsets) != 2 {
				t.Errorf("the positions of one source are %+v, %v", offsets, err)
			}
			zero, one, two := int32(0), int32(1), int64(2)
			for _, x := range []struct {
				filter sources.LetterFilter
				want   int
			}{
				{sources.LetterFilter{}, 4},
				{sources.LetterFilter{Partition: &zero}, 1},
				{sources.LetterFilter{Partition: &one}, 3},
				{sources.LetterFilter{Partition: &one, Offset: &two}, 1},
				{sources.LetterFilter{Partition: &zero, Offset: &two}, 0},
				{sources.LetterFilter{Topic: "t", Reason: "no_id"}, 4},
				{sources.LetterFilter{Topic: "u"}, 0},
				{sources.LetterFilter{Reason: "undecodable"}, 0},
			} {
				for _, source := range []string{"src", "other"} {
					key := sources.Key{Collection: "c", Name: source}
					r.eventually(func() string {
						list, err := r.manager.DeadLetters(t.Context(), key, 10, x.filter)
						if err != nil || len(list) != x.want {
							return fmt.Sprintf("%s, %+v: %d letters, %v, want %d", source, x.filter, len(list), err, x.want)
						}
						return ""
					})
					report, err := r.manager.Redrive(t.Context(), key, sources.Redrive{Filter: x.filter})
					if err != nil || report.Matched != x.want || report.Failed != x.want {
						t.Errorf("%s, %+v: %+v, %v, want %d", source, x.filter, report, err, x.want)
					}
				}
			}
		})
	}
}

// TestRedriveOfAFormerLog tries a letter again whose topic was made anew since: its offset says
// nothing about those of the new log.
func TestRedriveOfAFormerLog(t *testing.T) {
	for name, setting := range letterStores {
		t.Run(name, func(t *testing.T) {
			r := newBare(t, 1)
			r.create(1)
			r.run()
			r.add(`{"name":"src","topics":["t"],"on_gap":"skip"` + setting + `}`)
			old := value(`{"key":"a","embedding":[1],"n":1}`)
			old.Timestamp = time.Now().Add(-time.Hour)
			r.produce(value(`{"id":"b","embedding":[1]}`), old)
			r.applied(0, 1)
			r.recreate(1)
			r.produce(value(`{"id":"a","embedding":[1],"n":2}`))
			want := map[string]string{"a": `{"n":2}`, "b": `{}`}
			r.eventually(func() string {
				if got := r.points(); !maps.Equal(got, want) {
					return fmt.Sprint(got)
				}
				return ""
			})
			if _, err := r.manager.Patch(t.Context(), src, []byte(`{"id":"value.key"}`)); err != nil {
				t.Fatal(err)
			}
			got, err := r.manager.Redrive(t.Context(), src, sources.Redrive{})
			if err != nil || got.Matched != 1 || got.Stale != 1 {
				t.Errorf("%+v, %v", got, err)
			}
			r.expect(want)
		})
	}
}
