package ingest

import (
	"errors"
	"strings"
)

// jaas is the line by which Java clients name who logs in: the class of a login
// module, a control flag, options.
//
//	org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p";
type jaas struct {
	module  string // the class without its package
	options map[string]string
}

// errJAAS does not quote the text: there is a password in it.
var errJAAS = errors.New(`is not of the form <login module> required <option>="<value>" …;`)

// parseJAAS reads a configuration of one login module.
func parseJAAS(text string) (jaas, error) {
	s := &jaasScanner{rest: text}
	class := s.token()
	flag := s.token()
	if class.kind != jaasWord || flag.kind != jaasWord {
		return jaas{}, errJAAS
	}
	switch strings.ToLower(flag.text) {
	case "required", "requisite", "sufficient", "optional":
	default:
		return jaas{}, errJAAS
	}
	j := jaas{module: class.text[strings.LastIndexByte(class.text, '.')+1:], options: map[string]string{}}
	for {
		name := s.token()
		if name.kind == jaasSymbol && name.text == ";" {
			break
		}
		equals, value := s.token(), s.token()
		if name.kind != jaasWord || equals.kind != jaasSymbol || equals.text != "=" ||
			value.kind != jaasWord && value.kind != jaasQuoted {
			return jaas{}, errJAAS
		}
		if _, twice := j.options[name.text]; twice {
			return jaas{}, errors.New("has an option twice")
		}
		j.options[name.text] = value.text
	}
	if s.token().kind != jaasEnd {
		return jaas{}, errors.New("has something behind its first login module")
	}
	return j, nil
}

// jaasKind is a kind of token.
type jaasKind uint8

const (
	jaasEnd    jaasKind = iota
	jaasWord            // without quotes
	jaasQuoted          // what was between quotes
	jaasSymbol          // a single other character, or a quote that never ends
)

type jaasToken struct {
	kind jaasKind
	text string
}

// jaasScanner splits a text as java.io.StreamTokenizer does in the JDK's reader.
type jaasScanner struct{ rest string }

func (s *jaasScanner) token() jaasToken {
	s.rest = strings.TrimLeft(s.rest, " \t\r\n")
	if s.rest == "" {
		return jaasToken{}
	}
	if c := s.rest[0]; c == '"' || c == '\'' {
		return s.quoted(c)
	}
	kind, end := jaasWord, strings.IndexAny(s.rest, " \t\r\n=;\"'")
	switch end {
	case 0:
		kind, end = jaasSymbol, 1
	case -1:
		end = len(s.rest)
	}
	text := s.rest[:end]
	s.rest = s.rest[end:]
	return jaasToken{kind, text}
}

func (s *jaasScanner) quoted(quote byte) jaasToken {
	var text strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == quote:
			s.rest = s.rest[i+1:]
			return jaasToken{jaasQuoted, text.String()}
		case c == '\\' && i+1 < len(s.rest):
			i++
			text.WriteByte(unescaped(s.rest[i]))
		default:
			text.WriteByte(c)
		}
	}
	s.rest = ""
	return jaasToken{jaasSymbol, string(quote)}
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
