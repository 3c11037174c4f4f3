package snoop

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
)

// A gate is an output that blocks each Write until it is opened, and tells when a Write waits.
type gate struct {
	bytes.Buffer
	waits chan struct{}
	open  chan struct{}
}

func newGate() *gate { return &gate{waits: make(chan struct{}, 1), open: make(chan struct{})} }

func (g *gate) Write(b []byte) (int, error) {
	select {
	case g.waits <- struct{}{}:
	default:
	}
	<-g.open
	return g.Buffer.Write(b)
}

func notice(dst []byte, n uint64) []byte { return fmt.Appendf(dst, "(%d)\n", n) }

func unwanted(t *testing.T) func(error) {
	return func(err error) { t.Errorf("output failed: %v", err) }
}

func TestQueueDrops(t *testing.T) {
	out := newGate()
	q := newQueue(out, 10, notice, unwanted(t))
	q.put([]byte("one\n"))
	<-out.waits
	for _, line := range []string{"two\n", "three\n", "four\n", "5\n"} {
		q.put([]byte(line))
	}
	if !q.full() || q.dropped() != 3 {
		t.Errorf("%d dropped", q.dropped())
	}
	q.force([]byte("last\n"))
	close(out.open)
	q.close(testutil.Patience)
	if got, want := out.String(), "one\ntwo\nthree\n(3)\nlast\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	q.put([]byte("late\n"))
	if q.dropped() != 4 {
		t.Error("a line after the end is not counted as dropped")
	}
}

func TestQueueTakesOneLongLine(t *testing.T) {
	out := newGate()
	close(out.open)
	q := newQueue(out, 10, notice, unwanted(t))
	q.put([]byte(strings.Repeat("x", 100) + "\n"))
	q.close(testutil.Patience)
	if out.Len() != 101 {
		t.Errorf("got %q", out.String())
	}
}

func TestQueueGivesUpOnStuckOutput(t *testing.T) {
	out := newGate()
	q := newQueue(out, 10, notice, unwanted(t))
	q.put([]byte("one\n"))
	<-out.waits
	q.close(time.Millisecond)
	close(out.open)
	<-q.done
}

type brokenOutput struct{ writes int }

func (b *brokenOutput) Write([]byte) (int, error) {
	b.writes++
	return 0, errors.New("gone")
}

func TestQueueWithBrokenOutput(t *testing.T) {
	failed := make(chan error, 2)
	out := new(brokenOutput)
	q := newQueue(out, 100, notice, func(err error) { failed <- err })
	q.put([]byte("one\n"))
	<-failed
	q.put([]byte("two\n"))
	q.force([]byte("three\n"))
	q.close(testutil.Patience)
	if len(failed) != 0 || out.writes != 1 || q.dropped() != 1 {
		t.Errorf("%d writes, %d dropped", out.writes, q.dropped())
	}
}
