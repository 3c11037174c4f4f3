package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/distcache/distcache/loadtest"
)

// A liveLine is a line on a terminal that each report overwrites. It is nil if the output is no terminal.
type liveLine struct {
	out   io.Writer
	total time.Duration
}

func newLiveLine(w io.Writer, total time.Duration) *liveLine {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &liveLine{out: w, total: total}
	}
	return nil
}

// clearLine moves to the start of the line and erases it.
const clearLine = "\r\x1b[K"

func (l *liveLine) show(v loadtest.Live) {
	fmt.Fprintf(l.out, "%s%5.1f s of %v  %8.0f/s  p50 %-9v p99 %-9v errors %d", clearLine, v.At.Seconds(), l.total, v.Rate,
		v.P50.Round(time.Microsecond), v.P99.Round(time.Microsecond), v.Errors)
}

func (l *liveLine) clear() {
	if l != nil {
		fmt.Fprint(l.out, clearLine)
	}
}
