package config

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// readFile sets from the file what neither the command line nor the environment has set. Each line is one setting: a
// flag's name, white space or "=" or both, and its value to the end of the line. Empty lines and lines that start with
// "#" are skipped. A name alone is a flag without a value.
func (s *Set) readFile() error {
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("-config: there is no file %s", s.file)
	} else if err != nil {
		return fmt.Errorf("-config: %w", err)
	}
	defer f.Close()
	s.source = file
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.readLine(line, n); err != nil {
			return fmt.Errorf("%s:%d: %w", s.file, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("-config: %w", err)
	}
	return nil
}

func (s *Set) readLine(line string, n int) error {
	name, val := line, ""
	if i := strings.IndexAny(line, " \t="); i >= 0 {
		name, val = line[:i], strings.TrimSpace(line[i:])
		val = strings.TrimSpace(strings.TrimPrefix(val, "="))
	}
	f := s.flags[name]
	switch {
	case f == nil:
		return fmt.Errorf("there is no setting %q: a setting is a flag's name without the dash", name)
	case name == "config":
		return errors.New("a file of settings cannot name another")
	case f.line > 0 && !f.many:
		return fmt.Errorf("%s is there twice: line %d has it too", name, f.line)
	case val == "" && f.flag:
		val = "true"
	case val == "":
		return fmt.Errorf("%s needs a value: it takes %s", name, f.takes)
	}
	f.line = n
	if f.from != nowhere && f.from != file {
		return nil
	}
	return s.set(f, val)
}
