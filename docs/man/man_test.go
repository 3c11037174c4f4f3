// Package man holds the manual pages against the programs they are about.
package man

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A flag is one of a program's, as its -h or its page has it.
type flag struct {
	arg   string // what it takes, empty for nothing
	text  string
	deflt string // in -h only
}

// Flags whose default depends on the machine: the page describes it in words.
var described = map[string]bool{"dc_server -node": true, "dc_server -data": true, "dc_admin -connect": true, "dc_admin -data": true}

func TestPagesHaveTheProgramsFlags(t *testing.T) {
	for _, pattern := range []string{"../../cmd/*/*.go", "../../internal/*/*.go"} {
		for _, source := range files(t, pattern) {
			_, _ = os.Stat(source) // so that go test does not take an old result for the new programs
		}
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	programs, err := os.ReadDir(bin)
	if err != nil || len(programs) == 0 {
		t.Fatalf("%d programs, %v", len(programs), err)
	}
	for _, p := range programs {
		name := p.Name()
		cmd := exec.Command(filepath.Join(bin, name), "-h")
		cmd.Env = []string{}
		usage, err := cmd.Output()
		if err != nil {
			t.Errorf("%s -h: %v", name, err)
			continue
		}
		page, err := os.ReadFile(name + ".1")
		if err != nil {
			t.Errorf("%s has no page: %v", name, err)
			continue
		}
		compare(t, name, parseUsage(string(usage)), parsePage(string(page)))
	}
}

func compare(t *testing.T, program string, usage, page map[string]flag) {
	for name, f := range usage {
		p, ok := page[name]
		switch full := program + " -" + name; {
		case !ok:
			t.Errorf("%s is not in the page", full)
		case p.arg != f.arg:
			t.Errorf("%s takes %q, in the page %q", full, f.arg, p.arg)
		case f.deflt != "" && !described[full] && !hasWord(p.text, f.deflt):
			t.Errorf("%s: its default, %s, is not in the page", full, f.deflt)
		}
	}
	for name := range page {
		if _, ok := usage[name]; !ok {
			t.Errorf("%s.1 has -%s, which %s does not", program, name, program)
		}
	}
}

func hasWord(text, word string) bool {
	return regexp.MustCompile(`(^|[^0-9A-Za-z])` + regexp.QuoteMeta(word) + `($|[^0-9A-Za-z])`).MatchString(text)
}

var (
	usageRow   = regexp.MustCompile(`^  -(\S+)(?: (\S+))?(?:   +(.*))?$`)
	usageAlias = regexp.MustCompile(`^  -h, -help, -\?`)
	deflt      = regexp.MustCompile(`\(default ([^)]*)\)$`)
)

// parseUsage takes the flags out of what -h prints: two columns, the right one of which may go on below.
func parseUsage(usage string) map[string]flag {
	flags := map[string]flag{}
	name := ""
	for _, line := range strings.Split(usage, "\n") {
		if usageAlias.MatchString(line) {
			name = ""
			for _, alias := range []string{"h", "help", "?"} {
				flags[alias] = flag{}
			}
			continue
		}
		if m := usageRow.FindStringSubmatch(line); m != nil {
			name = m[1]
			flags[name] = flag{arg: strings.ReplaceAll(m[2], "…", "..."), text: m[3]}
			continue
		}
		if f, ok := flags[name]; ok && strings.HasPrefix(line, "     ") {
			f.text = strings.TrimSpace(f.text + " " + strings.TrimSpace(line))
			flags[name] = f
		} else {
			name = ""
		}
	}
	for name, f := range flags {
		if m := deflt.FindStringSubmatch(f.text); m != nil {
			f.deflt = m[1]
			flags[name] = f
		}
	}
	return flags
}

// parsePage takes the flags out of a page: the items of the section OPTIONS that begin with Fl.
func parsePage(page string) map[string]flag {
	flags := map[string]flag{}
	_, options, _ := strings.Cut(page, "\n.Sh OPTIONS\n")
	options, _, _ = strings.Cut(options, "\n.Sh ")
	var names []string
	for _, line := range strings.Split(options, "\n") {
		item, ok := strings.CutPrefix(line, ".It Fl ")
		if !ok {
			for _, name := range names {
				f := flags[name]
				f.text += " " + line
				flags[name] = f
			}
			continue
		}
		words, arg, _ := strings.Cut(item, " Ar ")
		names = strings.Split(strings.ReplaceAll(words, `\&`, ""), " , ")
		for _, name := range names {
			flags[name] = flag{arg: arg}
		}
	}
	return flags
}

var sections = []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "SIGNALS", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO"}

func TestSections(t *testing.T) {
	for _, path := range files(t, "*.1") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range regexp.MustCompile(`(?m)^\.Sh (.*)$`).FindAllStringSubmatch(string(page), -1) {
			got = append(got, m[1])
		}
		got = slices.DeleteFunc(got, func(s string) bool { return !slices.Contains(sections, s) })
		if !slices.Equal(got, sections) {
			t.Errorf("%s has the sections %q, want %q", path, got, sections)
		}
	}
}

// Every page that one refers to is one of ours: others may not be installed.
func TestReferences(t *testing.T) {
	for _, path := range files(t, "*.[18]") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^\.Xr (\S+) (\S+)`).FindAllStringSubmatch(string(page), -1) {
			if _, err := os.Stat(m[1] + "." + m[2]); err != nil {
				t.Errorf("%s refers to %s(%s): %v", path, m[1], m[2], err)
			}
		}
	}
}

func TestMandocFindsNothingWrong(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed: the pages' syntax is not checked (Debian's package is called mandoc)")
	}
	// Where mandoc looks for the pages that others refer to.
	path := t.TempDir()
	list := files(t, "*.[18]")
	for _, page := range list {
		dir := filepath.Join(path, "man"+filepath.Ext(page)[1:])
		text, err := os.ReadFile(page)
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, page), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(mandoc, append([]string{"-Tlint"}, list...)...)
	cmd.Env = append(os.Environ(), "MANPATH="+path)
	out, err := cmd.CombinedOutput()
	if len(bytes.TrimSpace(out)) > 0 || err != nil {
		t.Errorf("mandoc -Tlint: %v\n%s", err, out)
	}
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return list
}
