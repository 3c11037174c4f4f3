package raftstore

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/raftstore/internal/raftnode"
)

// Metrics are what a node has done since it was opened, beside what Status says of its present state. They are read one
// by one: an event that is being counted may be in some and not yet in others.
type Metrics struct {
	Elections     uint64 // how often this node, without a leader, asked for votes
	LeaderChanges uint64 // how often it has come to know another leader, itself among them

	BatchOperations Histogram // operations in each log entry that this node proposed as the leader
	BatchBytes      Histogram // and the entry's size
	BatchSeconds    Histogram // and the time until it was committed and applied, or given up

	LogWriteSeconds Histogram // appending to the log, synced
	LogWriteBytes   uint64    // of entries appended

	FlushSeconds  Histogram // writing what has changed to the state file, synced
	FlushSessions uint64    // sessions written
	FlushDeletes  uint64    // sessions deleted

	Voters    int // members of the cluster as this node's log has it
	Nonvoters int

	Clocks []ClockOffset // of the members that said what time it is, by name; none while too few voters did
}

// A Histogram says how many values were at or below each bound. Buckets[i] are those above Bounds[i-1] and not above
// Bounds[i]; the last bucket, one more than there are bounds, has the rest.
type Histogram struct {
	Bounds  []float64
	Buckets []uint64
	Sum     float64
}

// Count is the number of values.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, b := range h.Buckets {
		n += b
	}
	return n
}

// Metrics reads the node's figures; any goroutine may.
func (s *Store) Metrics() Metrics {
	c := s.cfg.counters
	m := Metrics{
		Elections:       c.elections.Load(),
		LeaderChanges:   c.leaderChanges.Load(),
		BatchOperations: c.batchOperations.read(),
		BatchBytes:      c.batchBytes.read(),
		BatchSeconds:    c.batchNanos.seconds(),
		LogWriteSeconds: c.logNanos.seconds(),
		LogWriteBytes:   c.logBytes.Load(),
		FlushSeconds:    c.flushNanos.seconds(),
		FlushSessions:   c.flushSessions.Load(),
		FlushDeletes:    c.flushDeletes.Load(),
	}
	if n := s.node.Load(); n != nil {
		m.Clocks = n.clockOffsets()
		members := n.raft.Members()
		m.Voters, _ = raftnode.Count(members)
		m.Nonvoters = len(members) - m.Voters
	}
	return m
}

// Dropped is how many sessions this node has dropped at the end of their time, and how many before it, because there
// were too many. What the log has of earlier processes counts again when it is replayed.
func (s *Store) Dropped() (expired, evicted uint64) {
	c := s.cfg.counters
	return c.expired.Load(), c.evicted.Load()
}

// The bounds of the histograms: operations, bytes and nanoseconds.
var (
	operationBounds = []int64{0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	byteBounds      = []int64{64, 256, 1 << 10, 4 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10}
	nanoBounds      = []int64{100e3, 250e3, 500e3, 1e6, 2500e3, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 500e6, 1e9, 2500e6, 10e9}
)

// counters are what Metrics are read from. A Store has one, whatever becomes of its nodes.
type counters struct {
	elections, leaderChanges atomic.Uint64

	batchOperations, batchBytes, batchNanos histogram

	logNanos histogram
	logBytes atomic.Uint64

	flushNanos                  histogram
	flushSessions, flushDeletes atomic.Uint64
	expired, evicted            atomic.Uint64
}

func newCounters() *counters {
	return &counters{
		batchOperations: newHistogram(operationBounds),
		batchBytes:      newHistogram(byteBounds),
		batchNanos:      newHistogram(nanoBounds),
		logNanos:        newHistogram(nanoBounds),
		flushNanos:      newHistogram(nanoBounds),
	}
}

func (c *counters) batched(operations, bytes int, took time.Duration) {
	c.batchOperations.add(int64(operations))
	c.batchBytes.add(int64(bytes))
	c.batchNanos.add(int64(took))
}

func (c *counters) wrote(bytes int, took time.Duration) {
	c.logNanos.add(int64(took))
	c.logBytes.Add(uint64(bytes))
}

func (c *counters) flushed(took time.Duration, sessions, deletes int) {
	c.flushNanos.add(int64(took))
	c.flushSessions.Add(uint64(sessions))
	c.flushDeletes.Add(uint64(deletes))
}

func (c *counters) dropped(expired, evicted int) {
	c.expired.Add(uint64(expired))
	c.evicted.Add(uint64(evicted))
}

// A histogram is a Histogram in the making.
type histogram struct {
	bounds  []int64
	buckets []atomic.Uint64
	sum     atomic.Int64
}

func newHistogram(bounds []int64) histogram {
	return histogram{bounds: bounds, buckets: make([]atomic.Uint64, len(bounds)+1)}
}

func (h *histogram) add(v int64) {
	i, _ := slices.BinarySearch(h.bounds, v)
	h.buckets[i].Add(1)
	h.sum.Add(v)
}

func (h *histogram) read() Histogram {
	out := Histogram{Sum: float64(h.sum.Load())}
	for _, b := range h.bounds {
		out.Bounds = append(out.Bounds, float64(b))
	}
	for i := range h.buckets {
		out.Buckets = append(out.Buckets, h.buckets[i].Load())
	}
	return out
}

// seconds reads a histogram of nanoseconds.
func (h *histogram) seconds() Histogram {
	out := h.read()
	out.Sum /= 1e9
	for i := range out.Bounds {
		out.Bounds[i] /= 1e9
	}
	return out
}
