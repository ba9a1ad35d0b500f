package ingest

import (
	"errors"
	"testing"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/point"
)

// TestLetterStaysWithoutItsEffect: a letter of a source with a route is kept while the collection
// for which it has become something does not take that.
func TestLetterStaysWithoutItsEffect(t *testing.T) {
	m := newManager(t, "localhost:9")
	home, err := m.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := home.Apply(t.Context(), server.Batch{DeadLetters: []server.DeadLetter{{Offset: 7}}}); err != nil {
		t.Fatal(err)
	}
	if err := m.db.CreateCollection(t.Context(), "other", server.Config{}); err != nil {
		t.Fatal(err)
	}
	other, err := m.db.Collection("other")
	if err != nil {
		t.Fatal(err)
	}
	ops := map[*server.Collection][]server.Op{other: {{Kind: server.Upsert, Points: []server.Point{{ID: point.Number(1)}}}}}
	redrive := func() (left int, err error) {
		_, err = redriven(t.Context(), home, server.Batch{Redriven: []uint64{0}}, ops)
		letters, lettersErr := home.DeadLetters(t.Context(), 10)
		if lettersErr != nil {
			t.Fatal(lettersErr)
		}
		return len(letters), err
	}
	if _, err := m.db.DropCollection(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	if left, err := redrive(); err == nil || left != 1 {
		t.Errorf("%d letters are left, %v", left, err)
	}
	clear(ops)
	if left, err := redrive(); err != nil || left != 0 {
		t.Errorf("without the other collection %d letters are left, %v", left, err)
	}
}

// TestLetterThatWasCutShort cannot be tried again, whatever its rest looks like.
func TestLetterThatWasCutShort(t *testing.T) {
	m := newManager(t, "localhost:9", "src")
	c, err := m.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	for _, truncated := range []bool{false, true} {
		l := &server.DeadLetter{Key: []byte("1"), Truncated: truncated} // a delete, if that were all
		_, _, err := m.list[0].source.reread(t.Context(), c, l)
		bad, isBad := errors.AsType[*decode.Error](err)
		if isBad != truncated || isBad && bad.Reason != decode.TooLarge {
			t.Errorf("cut short is %v: %v", truncated, err)
		}
	}
}

// TestStageOfTheKey tells what is wrong with the bytes of a key from what they say.
func TestStageOfTheKey(t *testing.T) {
	for _, x := range []struct {
		err  decode.Error
		want string
	}{
		{decode.Error{Reason: decode.Undecodable, Key: true}, "KEY_CONVERTER"},
		{decode.Error{Reason: decode.Undecodable}, "VALUE_CONVERTER"},
		{decode.Error{Reason: decode.BadID, Key: true}, "TRANSFORMATION"},
	} {
		if got := stageOf(&x.err); got != x.want {
			t.Errorf("%+v: %s", x.err, got)
		}
	}
}
