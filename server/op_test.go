package server

import "testing"

// Bytes that are no id tell nothing of which topic is meant, and so can be any.
func TestTopicIDFrom(t *testing.T) {
	whole := []byte("0123456789abcdef")
	if id := TopicIDFrom(whole); string(id[:]) != string(whole) || id.CanBe(TopicID{1}) || !id.CanBe(id) {
		t.Errorf("%q became %q", whole, id)
	}
	for _, raw := range [][]byte{nil, {}, whole[:15], append(whole, 'g')} {
		if id := TopicIDFrom(raw); id != (TopicID{}) || !id.CanBe(TopicID{1}) {
			t.Errorf("%q became %q", raw, id)
		}
	}
}
