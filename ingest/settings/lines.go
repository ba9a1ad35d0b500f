package settings

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// Lines tells on which line each setting of a document is written, by its path: that of
// a member is its key's, that of an item where it begins. It expects what Read accepts.
func Lines(raw []byte) (map[string]int, error) {
	body, err := document(raw)
	if err != nil || body == nil {
		return nil, err
	}
	w := walker{lines: map[string]int{}, anchors: map[string]ast.Node{}}
	w.walk("", body)
	return w.lines, nil
}

// walker follows what the checker follows, so that paths are the same.
type walker struct {
	lines   map[string]int
	anchors map[string]ast.Node
	depth   int
}

func (w *walker) walk(path string, node ast.Node) {
	w.depth++
	defer func() { w.depth-- }()
	if w.depth > maxDepth {
		return
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		w.anchors[n.Name.GetToken().Value] = n.Value
		w.walk(path, n.Value)
	case *ast.AliasNode:
		if target := w.anchors[n.Value.GetToken().Value]; target != nil {
			w.walk(path, target)
		}
	case *ast.TagNode:
		w.walk(path, n.Value)
	case *ast.SequenceNode:
		for i, item := range n.Values {
			below := fmt.Sprintf("%s[%d]", path, i)
			w.lines[below] = line(item)
			w.walk(below, item)
		}
	case *ast.MappingValueNode:
		w.member(path, n)
	case *ast.MappingNode:
		for _, m := range n.Values {
			w.member(path, m)
		}
	}
}

func (w *walker) member(path string, m *ast.MappingValueNode) {
	if _, merges := m.Key.(*ast.MergeKeyNode); merges {
		w.walk(path, m.Value)
		return
	}
	below := m.Key.GetToken().Value
	if path != "" {
		below = path + "." + below
	}
	w.lines[below] = line(m.Key)
	w.walk(below, m.Value)
}
