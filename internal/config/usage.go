package config

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The width of usage, and where its second column begins at most: a flag longer than that has a line to itself.
const (
	usageWidth = 100
	flagWidth  = 30
)

// Usage prints the intro and all flags, group by group, in two columns.
func (s *Set) Usage(w io.Writer) {
	fmt.Fprintf(w, "%s\n", s.intro)
	s.Flags(w)
	fmt.Fprintf(w, "\nA flag that is not given is looked for in the environment, there named like %s", s.Variable(s.anyFlag()))
	if s.flags.Lookup("config") != nil {
		fmt.Fprint(w, ",\nand then in the file that -config names")
	}
	fmt.Fprintln(w, ".")
}

func (s *Set) anyFlag() string {
	for _, g := range s.groups {
		for _, f := range g.flags {
			return f.Name
		}
	}
	return "flag"
}

// Flags prints the flags that are named, or all, group by group.
func (s *Set) Flags(w io.Writer, names ...string) {
	wanted := func(f *flag.Flag) bool {
		if len(names) == 0 {
			return true
		}
		for _, name := range names {
			if f.Name == name {
				return true
			}
		}
		return false
	}
	left := len("-h, -help, -?")
	for _, g := range s.groups {
		for _, f := range g.flags {
			if n := utf8.RuneCountInString(synopsis(f)); wanted(f) && n <= flagWidth {
				left = max(left, n)
			}
		}
	}
	for _, g := range s.groups {
		title := false
		for _, f := range g.flags {
			if !wanted(f) {
				continue
			}
			if !title {
				fmt.Fprintf(w, "\n%s:\n", g.title)
				title = true
			}
			row(w, left, synopsis(f), describe(f))
		}
	}
	fmt.Fprintln(w)
	row(w, left, "-version", "print the version")
	row(w, left, "-h, -help, -?", "print this")
}

func synopsis(f *flag.Flag) string {
	if arg := f.Value.(*value).arg; arg != "" {
		return "-" + f.Name + " " + arg
	}
	return "-" + f.Name
}

func describe(f *flag.Flag) string {
	if f.DefValue == "" {
		return f.Usage
	}
	return f.Usage + " (default " + f.DefValue + ")"
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
