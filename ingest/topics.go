package ingest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Limits of what one source consumes.
const (
	maxTopics     = 1000 // by name
	maxTopicName  = 249  // bytes, Kafka's
	maxPattern    = 1000 // bytes
	maxPartitions = 10_000
)

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// subscription says which topics a source consumes.
type subscription struct {
	names   []string
	pattern *regexp.Regexp // in place of names, of the whole name
	given   string         // the pattern, as it was given
	except  string         // the topic for its own dead letters
}

// subscription returns what the settings ask for. What is wrong with them is reported.
func (s *Source) subscription(report func(field, format string, args ...any)) subscription {
	sub := subscription{names: s.Topics, except: s.DeadLetterTopic}
	if s.TopicsRegex != "" {
		const field = "topics.regex"
		_, err := regexp.Compile(s.TopicsRegex) // by itself: a parenthesis must not close ours
		var pattern *regexp.Regexp
		if err == nil {
			pattern, err = regexp.Compile(`^(?:` + s.TopicsRegex + `)$`)
		}
		switch {
		case len(s.Topics) > 0:
			report(field, "cannot be given together with topics")
		case len(s.TopicsRegex) > maxPattern:
			report(field, "has %d bytes, more than %d", len(s.TopicsRegex), maxPattern)
		case err != nil:
			report(field, "%.200q is not a regular expression: %v", s.TopicsRegex, err)
		}
		sub.pattern, sub.given = pattern, s.TopicsRegex
		return sub
	}
	if len(s.Topics) == 0 {
		report("topics", "needs at least one topic, or topics.regex in its place")
	}
	if len(s.Topics) > maxTopics {
		report("topics", "has %d topics, more than %d", len(s.Topics), maxTopics)
	}
	for i, name := range s.Topics {
		switch field := fmt.Sprintf("topics[%d]", i); {
		case len(name) > maxTopicName || !topicName.MatchString(name) || name == "." || name == "..":
			report(field, "%.40q is not the name of a topic: 1 to %d letters, digits, dots, underscores and hyphens of ASCII", name, maxTopicName)
		case slices.Contains(s.Topics[:i], name):
			report(field, "%q is there twice", name)
		}
	}
	if slices.Contains(s.Topics, s.DeadLetterTopic) {
		report("errors.deadletterqueue.topic.name", "%q is consumed by the source itself", s.DeadLetterTopic)
	}
	return sub
}

// Consumes says whether a topic is one of the source's.
func (s *Source) Consumes(topic string) bool {
	sub := s.subscription(func(string, string, ...any) {})
	return sub.has(topic)
}

// has says whether a topic is consumed.
func (s *subscription) has(topic string) bool {
	if s.pattern == nil {
		return slices.Contains(s.names, topic)
	}
	return topic != s.except && s.pattern.MatchString(topic)
}

// String names the topics for people.
func (s *subscription) String() string {
	if s.pattern == nil {
		return strings.Join(s.names, ", ")
	}
	return "topics.regex " + s.given
}

// field is the setting that names the topics.
func (s *subscription) field() string {
	if s.pattern == nil {
		return "topics"
	}
	return "topics.regex"
}
