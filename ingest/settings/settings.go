// Package settings reads configuration, YAML or JSON, into structs. It takes nothing
// for something else: no text for a number, no number for a text, no fraction for an
// integer. What is null or left out stays as it is.
package settings

import (
	"encoding"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Error tells what is wrong, and where.
type Error struct {
	Path string // of the setting, "" for the whole
	Line int    // 0 if that is not known
	Text string
	// Unknown is the name that no setting has, "" if another thing is wrong; Known are
	// the names that there are in its place.
	Unknown string
	Known   []string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Text
	}
	return e.Path + ": " + e.Text
}

// Read reads one document into the struct that dst points to. The only errors are
// *Error.
func Read(raw []byte, dst any) error {
	body, err := document(raw)
	if err != nil || body == nil {
		return err
	}
	c := checker{anchors: map[string]ast.Node{}}
	if err := c.check("", body, reflect.TypeOf(dst).Elem()); err != nil {
		return err
	}
	if err := yaml.NodeToValue(body, dst, yaml.DisallowUnknownField()); err != nil {
		return inWords(err)
	}
	return nil
}

// document returns what the only document holds, nil if there is nothing. Documents are
// told apart by their tokens: the parser passes over what follows an empty one.
func document(raw []byte) (ast.Node, error) {
	tokens := lexer.Tokenize(string(raw))
	begun, over := false, false
	for _, t := range tokens {
		switch t.Type {
		case token.CommentType:
		case token.DocumentEndType:
			over = true
		case token.DocumentHeaderType:
			over = over || begun
			begun = true
		default:
			if over {
				return nil, &Error{Line: t.Position.Line, Text: "a second document begins here; settings are in one"}
			}
			begun = true
		}
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, inWords(err)
	}
	if len(file.Docs) == 0 {
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

// inWords returns an error of the library as ours.
func inWords(err error) *Error {
	var known yaml.Error
	if !errors.As(err, &known) {
		return &Error{Text: err.Error()}
	}
	e := &Error{Text: known.GetMessage()}
	if t := known.GetToken(); t != nil {
		e.Line = t.Position.Line
	}
	return e
}

// checker compares what is written with the types that it is for.
type checker struct {
	anchors map[string]ast.Node
	depth   int
}

// maxDepth bounds how deep settings are within each other.
const maxDepth = 64

var duration = reflect.TypeFor[time.Duration]()

// check says what is wrong with a node as a value of a type.
func (c *checker) check(path string, node ast.Node, t reflect.Type) error {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxDepth {
		return at(path, node, "settings are within each other more than %d deep", maxDepth)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		c.anchors[n.Name.GetToken().Value] = n.Value
		return c.check(path, n.Value, t)
	case *ast.AliasNode:
		if target := c.anchors[n.Value.GetToken().Value]; target != nil {
			return c.check(path, target, t)
		}
		return nil // for the library to say
	case *ast.TagNode:
		return c.check(path, n.Value, t)
	case *ast.NullNode:
		return nil
	}
	if text, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok {
		scalar, ok := node.(ast.ScalarNode)
		if !ok {
			return mismatch(path, node, t)
		}
		if err := text.UnmarshalText([]byte(scalar.GetToken().Value)); err != nil {
			return at(path, node, "%v", err)
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		err := c.members(path, node, func(name string) (reflect.Type, bool) { return field(t, name) })
		var wrong *Error
		if errors.As(err, &wrong) && wrong.Unknown != "" && wrong.Known == nil {
			wrong.Known = names(t)
		}
		return err
	case reflect.Map:
		return c.members(path, node, func(string) (reflect.Type, bool) { return t.Elem(), true })
	case reflect.Slice:
		list, ok := node.(*ast.SequenceNode)
		if !ok {
			return mismatch(path, node, t)
		}
		for i, value := range list.Values {
			if err := c.check(fmt.Sprintf("%s[%d]", path, i), value, t.Elem()); err != nil {
				return err
			}
		}
		return nil
	default:
		return checkScalar(path, node, t)
	}
}

// members checks those of a mapping; typeOf tells what each is for.
func (c *checker) members(path string, node ast.Node, typeOf func(name string) (reflect.Type, bool)) error {
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return &Error{Path: path, Line: line(node), Text: "it is " + written(node) + ", not an object"}
	}
	for _, v := range values {
		if _, merges := v.Key.(*ast.MergeKeyNode); merges {
			if err := c.members(path, c.target(v.Value), typeOf); err != nil {
				return err
			}
			continue
		}
		name := v.Key.GetToken().Value
		below := name
		if path != "" {
			below = path + "." + name
		}
		t, ok := typeOf(name)
		if !ok {
			return &Error{Path: below, Line: line(v.Key), Text: "there is no such setting", Unknown: name}
		}
		if err := c.check(below, v.Value, t); err != nil {
			return err
		}
	}
	return nil
}

// target is what an alias stands for.
func (c *checker) target(node ast.Node) ast.Node {
	if alias, ok := node.(*ast.AliasNode); ok {
		if target := c.anchors[alias.Value.GetToken().Value]; target != nil {
			return target
		}
	}
	return node
}

// field returns the type of a struct's field by its name in the settings.
func field(t reflect.Type, name string) (reflect.Type, bool) {
	for known, of := range fields(t) {
		if known == name {
			return of, true
		}
	}
	return nil, false
}

// names lists the settings of a struct.
func names(t reflect.Type) []string {
	list := []string{}
	for name := range fields(t) {
		list = append(list, name)
	}
	return list
}

// fields gives the settings of a struct, with their types.
func fields(t reflect.Type) iter.Seq2[string, reflect.Type] {
	return func(yield func(string, reflect.Type) bool) {
		for f := range t.Fields() {
			tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if strings.Contains(options, "inline") {
				for name, of := range fields(f.Type) {
					if !yield(name, of) {
						return
					}
				}
			} else if tag != "" && tag != "-" && !yield(tag, f.Type) {
				return
			}
		}
	}
}

func checkScalar(path string, node ast.Node, t reflect.Type) error {
	var fits bool
	switch n := node.(type) {
	case *ast.StringNode:
		fits = t.Kind() == reflect.String || t == duration
		if isNumber(n) {
			fits = isFloat(t)
		}
	case *ast.LiteralNode:
		fits = t.Kind() == reflect.String || t == duration
	case *ast.BoolNode:
		fits = t.Kind() == reflect.Bool
	case *ast.IntegerNode:
		switch v := reflect.New(t).Elem(); {
		case t == duration:
		case v.CanFloat():
			fits = true
		case v.CanInt(), v.CanUint():
			if fits = within(n.Value, v); !fits {
				return at(path, node, "%s is outside of the limits of the setting", n.Token.Value)
			}
		}
	case *ast.FloatNode:
		fits = isFloat(t) && !math.IsInf(n.Value, 0)
	}
	if !fits {
		return mismatch(path, node, t)
	}
	return nil
}

func isFloat(t reflect.Type) bool { return t.Kind() == reflect.Float64 || t.Kind() == reflect.Float32 }

// isNumber says whether what the library reads as a string is a number such as 1e3.
func isNumber(n *ast.StringNode) bool {
	if n.Token.Type != token.StringType || strings.IndexAny(n.Value, "+-.0123456789") != 0 {
		return false
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	return err == nil && !math.IsInf(f, 0)
}

// within says whether an integer as it was read fits into v.
func within(n any, v reflect.Value) bool {
	switch n := n.(type) {
	case int64:
		return v.CanInt() && !v.OverflowInt(n) || v.CanUint() && n >= 0 && !v.OverflowUint(uint64(n))
	case uint64:
		return v.CanInt() && n <= math.MaxInt64 && !v.OverflowInt(int64(n)) || v.CanUint() && !v.OverflowUint(n)
	default:
		return false
	}
}

func mismatch(path string, node ast.Node, t reflect.Type) error {
	text := "it is " + written(node) + ", not " + wanted(t)
	if _, plain := node.(ast.ScalarNode); plain && t.Kind() == reflect.String {
		text += "; quotes make it one"
	}
	return at(path, node, "%s", text)
}

func at(path string, node ast.Node, format string, args ...any) error {
	return &Error{Path: path, Line: line(node), Text: fmt.Sprintf(format, args...)}
}

func line(node ast.Node) int {
	if t := node.GetToken(); t != nil {
		return t.Position.Line
	}
	return 0
}

// written says what a node is.
func written(node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode:
		if isNumber(n) {
			return "the number " + n.Value
		}
		return "a string"
	case *ast.LiteralNode:
		return "a string"
	case *ast.BoolNode:
		return "a boolean"
	case *ast.IntegerNode:
		return "an integer"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return fmt.Sprintf("the number %s", node.GetToken().Value)
	case *ast.SequenceNode:
		return "an array"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "an object"
	default:
		return "something else"
	}
}

// wanted says what a type is written as.
func wanted(t reflect.Type) string {
	switch {
	case t == duration:
		return "a duration such as 100ms"
	case t.Kind() == reflect.Bool:
		return "a boolean"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Slice:
		return "an array"
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "an object"
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		return "a finite number"
	default:
		return "an integer"
	}
}
