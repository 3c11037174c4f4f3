package daemon

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// logPatience is how long a goroutine that logs waits for its line to be written.
	logPatience = 100 * time.Millisecond
	// maxBacklog is how many bytes of lines may wait for an output that is stuck.
	maxBacklog = 1 << 20
)

// A backlog writes lines to the log's output, in order. A goroutine that logs waits until its line is written, so that
// the line is not lost in a crash. It waits for logPatience only, and not at all once the output is stuck (a pipe whose
// reader has stopped): the log must not hold up requests. Further lines wait in the backlog, and are dropped when it is
// full.
type backlog struct {
	missed func(lines uint64) // logs how many lines were dropped
	lost   uint64             // lines that the output has refused since it last took one; run's only

	mu      sync.Mutex
	lines   []logLine
	size    int
	missing uint64
	written chan struct{} // closed when there are no more lines; nil when there are none
	stuck   bool
}

type logLine struct {
	to   io.Writer
	text []byte
}

// to returns a writer that takes whole lines and writes them to w.
func (q *backlog) to(w io.Writer) io.Writer { return backlogWriter{q, w} }

type backlogWriter struct {
	q *backlog
	w io.Writer
}

func (b backlogWriter) Write(line []byte) (int, error) {
	b.q.put(logLine{b.w, bytes.Clone(line)})
	return len(line), nil
}

func (q *backlog) put(line logLine) {
	q.mu.Lock()
	if q.size+len(line.text) > maxBacklog {
		q.missing++
		q.mu.Unlock()
		return
	}
	q.lines = append(q.lines, line)
	q.size += len(line.text)
	if q.written == nil {
		q.written = make(chan struct{})
		go q.run()
	}
	stuck := q.stuck
	q.mu.Unlock()
	if !stuck {
		q.wait()
	}
}

// wait waits until all lines are written, for logPatience at most.
func (q *backlog) wait() {
	q.mu.Lock()
	written := q.written
	q.mu.Unlock()
	if written == nil {
		return
	}
	late := time.NewTimer(logPatience)
	defer late.Stop()
	select {
	case <-written:
		return
	case <-late.C:
	}
	q.mu.Lock()
	q.stuck = q.written == written
	q.mu.Unlock()
}

// run writes until there are no more lines.
func (q *backlog) run() {
	for {
		q.mu.Lock()
		lines, missing := q.lines, q.missing
		q.lines, q.size, q.missing = nil, 0, 0
		if len(lines) == 0 && missing == 0 {
			close(q.written)
			q.written, q.stuck = nil, false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		for _, line := range lines {
			q.write(line)
		}
		if missing > 0 {
			q.missed(missing)
		}
	}
}

// write writes a line to its output. Lines that the output refuses, as on a full disk, are counted; the count is
// logged once the output takes a line again.
func (q *backlog) write(line logLine) {
	if _, err := line.to.Write(line.text); err != nil {
		q.lost++
		return
	}
	if q.lost > 0 && q.missed != nil {
		q.missed(q.lost)
		q.lost = 0
	}
}
