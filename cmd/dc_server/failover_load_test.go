package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/wire/client"
)

const (
	failoverTimeout = 200 * time.Millisecond // of a request
	failoverPause   = time.Millisecond       // between the requests of one caller
)

// A session is what is added and read.
type session struct{ id, data []byte }

func newAsker(s *procs.Server) (*client.Client, error) {
	return client.New(s.Listen.String(), client.WithTimeout(failoverTimeout))
}

// A questioning is two callers at each of some nodes, one that adds and one that reads, each with one request after the
// other.
type questioning struct {
	callers int
	answers chan reply
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// A reply is when a caller asked and was answered, or why it has ended.
type reply struct {
	caller       int
	asked, heard time.Time
	err          error
}

// ask begins. Callers that add come first.
func (f *fleet) ask(ctx context.Context, nodes []*procs.Server) (*questioning, error) {
	ctx, cancel := context.WithCancel(ctx)
	q := &questioning{callers: 2 * len(nodes), answers: make(chan reply, 1<<12), cancel: cancel}
	for i := range q.callers {
		c, err := newAsker(nodes[i%len(nodes)])
		if err != nil {
			q.stop()
			return nil, err
		}
		request := func() error { return f.read(ctx, c) }
		if i < len(nodes) {
			f.added++
			prefix := fmt.Sprintf("caller %d, session ", f.added)
			n := 0
			request = func() error {
				n++
				return c.Add(ctx, fmt.Appendf(nil, "%s%d", prefix, n), f.known.data, 10*time.Second)
			}
		}
		q.wg.Go(func() {
			defer c.Close()
			q.call(ctx, i, request)
		})
	}
	return q, nil
}

// A wrongAnswer is one that no failure excuses.
type wrongAnswer struct{ data []byte }

func (w wrongAnswer) Error() string { return fmt.Sprintf("GET was answered with %q", w.data) }

func (f *fleet) read(ctx context.Context, c *client.Client) error {
	data, err := c.Get(ctx, f.known.id)
	if err == nil && !bytes.Equal(data, f.known.data) {
		return wrongAnswer{data}
	}
	return err
}

// call asks until ctx is done.
func (q *questioning) call(ctx context.Context, caller int, request func() error) {
	pause := time.NewTicker(failoverPause)
	defer pause.Stop()
	for {
		r := reply{caller: caller, asked: time.Now()}
		err := request()
		r.heard = time.Now()
		if errors.As(err, new(wrongAnswer)) {
			r.err = err
		}
		if err == nil || r.err != nil {
			select {
			case q.answers <- r:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// first waits until each caller has been answered something that it asked since a moment, and tells how long after that
// moment it was.
func (q *questioning) first(ctx context.Context, since time.Time) ([]time.Duration, error) {
	took := make([]time.Duration, q.callers)
	for missing := q.callers; missing > 0; {
		select {
		case r := <-q.answers:
			if r.err != nil {
				return nil, r.err
			}
			if took[r.caller] == 0 && !r.asked.Before(since) {
				took[r.caller] = r.heard.Sub(since)
				missing--
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d callers are not answered: %w", missing, q.callers, ctx.Err())
		}
	}
	return took, nil
}

func (q *questioning) stop() {
	q.cancel()
	q.wg.Wait()
}

// loadAverage is the machine's, to tell how much else went on.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(b), " ")
	return average
}

func clockOf(t time.Time) string { return t.Format("15:04:05.000") }

// loggedBetween are the lines of a log, in the text form, of some time.
func loggedBetween(log string, from, to time.Time) string {
	var out strings.Builder
	for line := range strings.Lines(log) {
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err == nil && !at.Before(from.Truncate(time.Millisecond)) && !at.After(to) {
			out.WriteString("    " + line)
		}
	}
	return out.String()
}

func TestLoggedBetween(t *testing.T) {
	const log = "time=2026-01-02T03:04:05.000Z level=INFO msg=before\n" +
		"time=2026-01-02T03:04:05.100Z level=INFO msg=begins\n" +
		"no time\n" +
		"time=2026-01-02T03:04:05.200+00:00 level=INFO msg=ends\n" +
		"time=2026-01-02T03:04:05.201Z level=INFO msg=after\n"
	from := time.Date(2026, 1, 2, 3, 4, 5, 100_500_000, time.UTC)
	got := loggedBetween(log, from, from.Add(100*time.Millisecond))
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, "msg=begins") || !strings.Contains(got, "msg=ends") {
		t.Errorf("got\n%s", got)
	}
}
