package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestKeysAreComparedInConstantTime looks at the source, since a time that is measured tells
// little: what a server knows of a key is of a type that == does not compare, and the bytes
// of it go to crypto/subtle and nowhere else.
func TestKeysAreComparedInConstantTime(t *testing.T) {
	for _, field := range []string{"full", "readOnly"} {
		f, ok := reflect.TypeFor[keys]().FieldByName(field)
		if !ok || f.Type != reflect.TypeFor[[]digest]() || f.Type.Elem().Comparable() {
			t.Errorf("keys.%s can be compared by ==", field)
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	compared, other := 0, 0 // uses of the bytes
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "ConstantTimeCompare" {
					compared += bytesOfDigests(n)
				}
			case *ast.FuncDecl:
				other += bytesOfDigests(n)
			}
			return true
		})
	}
	if other -= compared; compared != 2 || other != 0 {
		t.Errorf("the bytes of digests are compared in constant time %d times, want 2, and used otherwise %d times", compared, other)
	}
}

func bytesOfDigests(in ast.Node) (n int) {
	ast.Inspect(in, func(node ast.Node) bool {
		if s, ok := node.(*ast.SelectorExpr); ok && s.Sel.Name == "sum" {
			n++
		}
		return true
	})
	return n
}
