package raftstore

import (
	"sync"
	"time"
)

// A logClock is the time by which sessions expire, in ms since 1970, as a leader goes on with it. It is the wall clock's,
// unless that is behind the last stamp in the log, because another leader's was ahead or because it has been put back:
// then it goes on from that stamp, at the pace at which time passes. So it never stands still, and never goes back: once
// ahead, it stays ahead by as much.
//
// Every method is told the last stamp that the state machine has seen. The zero value is ready for use.
type logClock struct {
	mu    sync.Mutex
	stamp uint64    // the last that was seen or given
	since time.Time // when that was the time
}

// see notes the last stamp, when another node leads. It is called often: should this one come to lead, it has to know how
// long ago that was.
func (c *logClock) see(last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saw(last, time.Now())
}

// read is what time it is, on the leader.
func (c *logClock) read(last uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return c.at(last, now, wall(now))
}

// next is the stamp of the next entry.
func (c *logClock) next(last uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return c.give(last, now, wall(now))
}

func (c *logClock) saw(last uint64, now time.Time) {
	if last > c.stamp {
		c.stamp, c.since = last, now
	}
}

func (c *logClock) at(last uint64, now time.Time, wall uint64) uint64 {
	if c.since.IsZero() {
		c.since = now
	}
	// An entry of the leader before this one, which is applied only now, must not take the time back.
	if last > c.goneOn(now) {
		c.saw(last, now)
	}
	return max(wall, c.goneOn(now))
}

// goneOn is the last stamp and the time that has passed since.
func (c *logClock) goneOn(now time.Time) uint64 {
	return c.stamp + uint64(now.Sub(c.since)/time.Millisecond)
}

func (c *logClock) give(last uint64, now time.Time, wall uint64) uint64 {
	stamp := c.at(last, now, wall)
	if stamp == wall {
		c.since = now
	} else {
		// What is left of a millisecond counts for the next stamp: those of entries that follow each other closely would
		// never rise otherwise.
		c.since = c.since.Add(time.Duration(stamp-c.stamp) * time.Millisecond)
	}
	c.stamp = stamp
	return stamp
}

func wall(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
