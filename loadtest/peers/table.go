package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A block is a part of the report: a title, lines of text and a table. Any of them may be missing.
type block struct {
	title string
	lines []string
	table *table
}

// A table has column names, and rows with a cell for each. The first columns are words, the others figures.
type table struct {
	words  int
	header []string
	rows   [][]string
}

// render prints blocks as plain text or Markdown.
func render(w io.Writer, format string, blocks []block) error {
	var out strings.Builder
	for i, b := range blocks {
		if i > 0 {
			out.WriteByte('\n')
		}
		if format == "markdown" {
			b.markdown(&out)
		} else {
			b.text(&out)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (b block) text(out *strings.Builder) {
	fmt.Fprintf(out, "%s\n\n", b.title)
	for _, line := range b.lines {
		fmt.Fprintf(out, "  %s\n", strings.ReplaceAll(line, "\n", "\n    "))
	}
	if b.table == nil {
		return
	}
	if len(b.lines) > 0 {
		out.WriteByte('\n')
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range append([][]string{b.table.header}, b.table.rows...) {
		fmt.Fprintf(w, "%s\t\n", strings.Join(row, "\t"))
	}
	w.Flush()
}

func (b block) markdown(out *strings.Builder) {
	fmt.Fprintf(out, "### %s\n\n", b.title)
	for _, line := range b.lines {
		fmt.Fprintf(out, "- %s\n", escape(line))
	}
	if b.table == nil {
		return
	}
	if len(b.lines) > 0 {
		out.WriteByte('\n')
	}
	rule := make([]string, len(b.table.header))
	for i := range rule {
		rule[i] = "---:"
		if i < b.table.words {
			rule[i] = "---"
		}
	}
	for _, row := range append([][]string{b.table.header, rule}, b.table.rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = escape(cell)
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
}

// escape replaces what would be a table's border, or the end of a line.
func escape(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", `\|`), "\n", " ")
}
