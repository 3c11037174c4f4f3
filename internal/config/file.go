package config

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A lineError is a mistake in a line of a file of settings, counted from 1.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// readFile reads a file of settings, a line each: a flag's name, white space or "=" or both, its value to the end of
// the line. Empty lines and those that start with "#" are skipped. A name alone is a flag without a value.
func (s *Set) readFile(r io.Reader, set func(name, value string) error) error {
	s.source = file
	lines := bufio.NewScanner(r)
	given := map[string]int{} // in which line
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.readLine(line, n, given, set); err != nil {
			return &lineError{n, err}
		}
	}
	return lines.Err()
}

func (s *Set) readLine(line string, n int, given map[string]int, set func(name, value string) error) error {
	name, val := line, ""
	if i := strings.IndexAny(line, " \t="); i >= 0 {
		name, val = line[:i], strings.TrimSpace(line[i:])
		val = strings.TrimSpace(strings.TrimPrefix(val, "="))
	}
	f := s.flags.Lookup(name)
	switch {
	case f == nil:
		return fmt.Errorf("there is no setting %q: a setting is a flag's name without the dash", name)
	case name == "config":
		return errors.New("a file of settings cannot name another")
	case given[name] > 0 && !s.value(name).many:
		return fmt.Errorf("%s is there twice: line %d has it too", name, given[name])
	case val == "" && s.value(name).flag:
		val = "true"
	case val == "":
		return fmt.Errorf("%s needs a value: it takes %s", name, s.value(name).takes)
	}
	given[name] = n
	err := set(name, val)
	var bad *valueError
	if errors.As(err, &bad) {
		return bad
	}
	return err
}
