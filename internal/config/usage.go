package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// The width of usage, and the rightmost start of its second column: a flag that is too long gets a line of its own.
const (
	usageWidth = 100
	flagWidth  = 30
)

// Usage prints the intro and all flags, group by group, in two columns.
func (s *Set) Usage(w io.Writer) {
	fmt.Fprintf(w, "%s\n", s.intro)
	s.Flags(w)
	example := s.Variable(s.groups[0].flags[0].name)
	fmt.Fprintf(w, "\nA flag that is not given is looked for in the environment, there named like %s", example)
	if s.flags["config"] != nil {
		fmt.Fprint(w, ",\nand then in the file that -config names")
	}
	fmt.Fprintln(w, ".")
}

// Flags prints the named flags, or without names all flags, group by group.
func (s *Set) Flags(w io.Writer, names ...string) {
	wanted := func(f *value) bool { return len(names) == 0 || slices.Contains(names, f.name) }
	left := len("-h, -help, -?")
	for _, f := range s.flags {
		if n := utf8.RuneCountInString(f.synopsis()); wanted(f) && n <= flagWidth {
			left = max(left, n)
		}
	}
	for _, g := range s.groups {
		title := "\n" + g.title + ":\n"
		for _, f := range g.flags {
			if wanted(f) {
				fmt.Fprint(w, title)
				title = ""
				row(w, left, f.synopsis(), f.description())
			}
		}
	}
	fmt.Fprintln(w)
	row(w, left, "-version", "print the version")
	row(w, left, "-h, -help, -?", "print this")
}

func (v *value) synopsis() string { return strings.TrimSpace("-" + v.name + " " + v.arg) }

func (v *value) description() string {
	if v.deflt == "" {
		return v.usage
	}
	return v.usage + " (default " + v.deflt + ")"
}

// row prints one flag: its synopsis in the left column, its description wrapped in the right.
func row(w io.Writer, left int, synopsis, description string) {
	const margin, gap = 2, 3
	indent := strings.Repeat(" ", margin+left+gap)
	line := strings.Repeat(" ", margin) + synopsis
	if n := utf8.RuneCountInString(line); n > margin+left {
		fmt.Fprintln(w, line)
		line = indent
	} else {
		line += strings.Repeat(" ", len(indent)-n)
	}
	fresh := true
	for _, word := range strings.Fields(description) {
		if !fresh && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > usageWidth {
			fmt.Fprintln(w, line)
			line, fresh = indent, true
		}
		if !fresh {
			line += " "
		}
		line += word
		fresh = false
	}
	fmt.Fprintln(w, line)
}
