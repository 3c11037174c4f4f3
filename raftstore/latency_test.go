package raftstore_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// BenchmarkAddLatency has 64 callers add sessions to three nodes, and tells the p99 of the calls that began while a
// node was flushing its state file or trimming its log from that of the others.
func BenchmarkAddLatency(b *testing.B) {
	for _, kind := range []raftstore.LogKind{raftstore.LogBolt, raftstore.LogWAL} {
		b.Run("log="+kind.String(), func(b *testing.B) { addLatency(b, kind) })
	}
}

func addLatency(b *testing.B, kind raftstore.LogKind) {
	c := testcluster.Start(b, 3, func(cfg *raftstore.Config) { cfg.RaftLog, cfg.LogBytes = kind, 16<<20 })
	value := make([]byte, benchData)
	if err := c.Leader().Add(context.Background(), newID(), value, time.Hour); err != nil {
		b.Fatal(err)
	}
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	var flushing, trimming busy
	for _, n := range c.Running() {
		watchers.Go(func() { watch(n.Store, stop, &flushing, &trimming) })
	}
	began := time.Now()
	var mu sync.Mutex
	var calls []call
	callers(b, c.Running(), 64, func(s *raftstore.Store) error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		from := time.Since(began)
		err := s.Add(ctx, newID(), value, time.Hour)
		mu.Lock()
		calls = append(calls, call{began.Add(from), time.Since(began) - from})
		mu.Unlock()
		return err
	})
	close(stop)
	watchers.Wait()

	var during, cutting, otherwise []time.Duration
	for _, c := range calls {
		switch {
		case trimming.at(c.began):
			cutting = append(cutting, c.took)
		case flushing.at(c.began):
			during = append(during, c.took)
		default:
			otherwise = append(otherwise, c.took)
		}
	}
	b.ReportMetric(p99(otherwise), "p99-ms")
	b.ReportMetric(p99(during), "p99-flushing-ms")
	b.ReportMetric(p99(cutting), "p99-trimming-ms")
	b.ReportMetric(100*float64(len(during))/float64(len(calls)), "%flushing")
	b.ReportMetric(float64(len(trimming.spans)), "trims")
}

type call struct {
	began time.Time
	took  time.Duration
}

func p99(d []time.Duration) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return float64(d[len(d)*99/100].Microseconds()) / 1000
}

// busy are the spans of time in which a node was at something.
type busy struct {
	mu    sync.Mutex
	spans [][2]time.Time
}

func (s *busy) add(from, to time.Time) {
	s.mu.Lock()
	s.spans = append(s.spans, [2]time.Time{from, to})
	s.mu.Unlock()
}

func (s *busy) at(t time.Time) bool {
	return slices.ContainsFunc(s.spans, func(span [2]time.Time) bool { return !t.Before(span[0]) && !t.After(span[1]) })
}

// watch finds out when a node flushes, by its metrics, and when it trims its log, by the log's first entry. Trimming is
// over in no time or takes a while: what is noted is the moment before it shows.
func watch(s *raftstore.Store, stop chan struct{}, flushing, trimming *busy) {
	const step = 500 * time.Microsecond
	t := time.NewTicker(step)
	defer t.Stop()
	flushes := s.Metrics().FlushSeconds
	first := s.Status().LogFirst
	for looked := 1; ; looked++ {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		now := time.Now()
		if f := s.Metrics().FlushSeconds; f.Count() > flushes.Count() {
			flushing.add(now.Add(-time.Duration((f.Sum-flushes.Sum)*1e9)), now)
			flushes = f
		}
		if looked%20 != 0 {
			continue
		}
		if f := s.Status().LogFirst; f != first {
			trimming.add(now.Add(-50*time.Millisecond), now.Add(10*time.Millisecond))
			first = f
		}
	}
}
