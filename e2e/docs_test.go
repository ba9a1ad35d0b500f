//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDocuments does what a document says, block by block, in a folder of its own:
//
//   - "console" blocks hold commands, each after "$ ", and what they print, in which …
//     stands for anything, alone on a line for any lines;
//   - one marked "background" goes on until the end of the document once it has
//     printed that;
//   - a block that begins with the comment "# name.ext" is a file of that name;
//   - any other would not be run, and is an error, apart from the one that builds the binary,
//     which is there already.
//
// Ports are free ones instead of the usual.
func TestDocuments(t *testing.T) {
	for _, name := range []string{"quickstart.md"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, "docs", name))
			if err != nil {
				t.Fatal(err)
			}
			usual := strings.NewReplacer("6333", strconv.Itoa(freePort(t)), "9092", strconv.Itoa(freePort(t)))
			s := &shell{t: t, dir: t.TempDir()}
			if err := os.Symlink(binary, filepath.Join(s.dir, "freshet")); err != nil {
				t.Fatal(err)
			}
			for _, b := range blocks(usual.Replace(string(text))) {
				switch {
				case b.info == "console background":
					s.start(b.text)
				case b.info == "console":
					s.run(b.text)
				case b.info == "sh" && b.text == "make build\n":
				case b.file() == "":
					t.Errorf("nothing runs the block of %q\n%s", b.info, b.text)
				default:
					if err := os.WriteFile(filepath.Join(s.dir, b.file()), []byte(b.text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// block is what stands between two fences of Markdown.
type block struct{ info, text string }

var (
	fence     = regexp.MustCompile("(?ms)^```([^\n`]*)\n(.*?)^```$")
	firstLine = regexp.MustCompile(`^# ([a-z]+\.[a-z]+)\b`)
)

func blocks(text string) (found []block) {
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		found = append(found, block{m[1], m[2]})
	}
	return found
}

// file is the name of the file that the block is, if it is one.
func (b block) file() string {
	if m := firstLine.FindStringSubmatch(b.text); m != nil {
		return m[1]
	}
	return ""
}

// shell runs the commands of a document.
type shell struct {
	t   *testing.T
	dir string
}

func (s *shell) command(text string) *exec.Cmd {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", text)
	cmd.Dir = s.dir
	cache := filepath.Join(root, ".cache")
	packages, err := filepath.Glob(filepath.Join(cache, "python-newest", "lib", "python*", "site-packages"))
	if err != nil || len(packages) != 1 {
		s.t.Fatal(packages, err)
	}
	cmd.Env = append(os.Environ(), "PYTHONPATH="+packages[0], // of kafka-python
		"PATH="+filepath.Join(cache, "python-clients", "bin")+":"+os.Getenv("PATH"))
	return cmd
}

// dialogue splits a block into commands and what each prints.
func dialogue(text string) (commands, outputs []string) {
	continued := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "$ "):
			commands, outputs = append(commands, line[2:]), append(outputs, "")
		case len(commands) == 0:
			continue
		case continued:
			commands[len(commands)-1] += line
		default:
			outputs[len(outputs)-1] += line
		}
		continued = strings.HasSuffix(line, "\\\n")
	}
	return commands, outputs
}

// pattern is the regular expression of what a document says is printed.
func pattern(output string) string {
	var p strings.Builder
	for line := range strings.Lines(output) {
		if line == "…\n" {
			p.WriteString(`(?:[^\n]*\n)*?`)
		} else {
			p.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`))
		}
	}
	return p.String()
}

// run runs the commands of a block.
func (s *shell) run(text string) {
	s.t.Helper()
	commands, outputs := dialogue(text)
	if len(commands) == 0 {
		s.t.Fatalf("no command begins with \"$ \" in\n%s", text)
	}
	for i, command := range commands {
		out, err := s.command(command).CombinedOutput()
		if len(out) > 0 && out[len(out)-1] != '\n' {
			out = append(out, '\n')
		}
		if err != nil || !regexp.MustCompile(`^`+pattern(outputs[i])+`$`).Match(out) {
			s.t.Fatalf("%s%s (%v), want\n%s", command, out, err, outputs[i])
		}
	}
}

// start starts the command of a block and waits until it has printed what the block
// says.
func (s *shell) start(text string) {
	s.t.Helper()
	commands, outputs := dialogue(text)
	if len(commands) != 1 {
		s.t.Fatalf("%d commands in the background", len(commands))
	}
	out := new(output)
	cmd := s.command("exec " + commands[0])
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			s.t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("%s: %v\n%s", commands[0], err, out.String())
		}
	})
	want := regexp.MustCompile(`^` + pattern(outputs[0]))
	for deadline := time.Now().Add(2 * timeoutOfTests); !want.MatchString(out.String()); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s%s, want\n%s", commands[0], out.String(), outputs[0])
		}
	}
}
