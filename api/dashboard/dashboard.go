// Package dashboard is the page by which people look at a server: files that are part of
// the binary and ask for nothing but that server's own API.
package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
)

//go:embed files
var files embed.FS

// Page is the path of the page; its files lie below.
const Page = "/dashboard"

// Policy is the content security policy of the page. Nothing is loaded from elsewhere or
// sent there, no script is in the page itself, and texts are never taken for markup.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// File is one of the page's.
type File struct {
	Type string // MIME type
	Tag  string // changes with the content
	Body []byte
}

// Files returns the files by the paths at which they are served.
func Files() map[string]File {
	served := map[string]File{}
	entries, err := fs.ReadDir(files, "files")
	if err != nil {
		panic("BUG: " + err.Error()) // they are in the binary
	}
	for _, e := range entries {
		body, err := fs.ReadFile(files, "files/"+e.Name())
		if err != nil {
			panic("BUG: " + err.Error())
		}
		where := Page + "/" + e.Name()
		if e.Name() == "index.html" {
			where = Page
		}
		sum := sha256.Sum256(body)
		served[where] = File{Type: typeOf(e.Name()), Tag: `W/"` + hex.EncodeToString(sum[:8]) + `"`, Body: body}
	}
	return served
}

// types are those of the files. The system's list may lack them, or have others.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

func typeOf(name string) string {
	if t, ok := types[path.Ext(name)]; ok {
		return t
	}
	panic("BUG: " + name + " has no type")
}
