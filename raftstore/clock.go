package raftstore

import (
	"sync"
	"sync/atomic"
	"time"
)

// A moment is what some clock said at one time, in ms since 1970. That time has a monotonic reading.
type moment struct {
	ms uint64
	at time.Time
}

// on is what the clock says later, if it goes as fast as this machine's monotonic clock.
func (m moment) on(now time.Time) uint64 {
	return m.ms + uint64(max(0, now.Sub(m.at))/time.Millisecond)
}

// agreedFor is how long what the voters' clocks agreed on counts.
const agreedFor = 5 * time.Second

// slewing bounds how much a follower's log clock loses against its monotonic clock: one part in so many. Quartz clocks
// are off by a tenth of that at most.
const slewing = 1000

// A logClock is the time by which sessions expire, in ms since 1970, as this node goes on with it: from a stamp in the
// log, as fast as its monotonic clock. So the log's time never stands still, and never goes back.
//
// The voters' wall clocks have their say in the stamps of new entries only, see next. A leader reads by stamps that
// have been committed, and a new leader has those in its log: reads never go by a time that the next leader does not
// know. The zero value is ready for use.
type logClock struct {
	base atomic.Pointer[moment] // what reads go by; nil: no stamp has been seen; stored with mu held

	mu     sync.Mutex
	agreed moment    // what the voters' clocks said last; its at is zero: they have not agreed yet
	seen   uint64    // the last stamp that follow was told
	slewed time.Time // when this clock was last held against the leader's, or was the leader's
}

// read is the log's time now, 0 before the first stamp.
func (c *logClock) read() uint64 {
	b := c.base.Load()
	if b == nil {
		return 0
	}
	return b.on(time.Now())
}

// reach notes a stamp that has been applied, on a node that leads.
func (c *logClock) reach(stamp uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.forward(stamp, now)
	c.slewed = now
}

// forward has the clock say no less than a stamp. Called with mu held.
func (c *logClock) forward(stamp uint64, now time.Time) {
	if b := c.base.Load(); stamp > 0 && (b == nil || stamp > b.on(now)) {
		c.base.Store(&moment{stamp, now})
	}
}

// follow notes the log's time while another node leads: a stamp that was applied, or what the leader says. Should this
// node come to lead, it goes on from there. News may be late, so the latest is not always the best; but what makes this
// clock faster than the leader's in the long run is its own pace, and that is corrected slowly.
func (c *logClock) follow(stamp uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.followed(stamp, time.Now())
}

func (c *logClock) followed(stamp uint64, now time.Time) {
	if stamp <= c.seen {
		return
	}
	if b := c.base.Load(); b != nil && stamp < b.on(now) && !c.slewed.IsZero() {
		fast := time.Duration(b.on(now)-stamp) * time.Millisecond
		c.base.Store(&moment{b.ms, b.at.Add(min(fast, now.Sub(c.slewed)/slewing))})
	}
	c.forward(stamp, now)
	c.seen, c.slewed = stamp, now
}

// agree notes what the voters' clocks say now.
func (c *logClock) agree(ms uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agreed = moment{ms, now}
}

// agrees tells whether the voters' clocks have agreed lately.
func (c *logClock) agrees() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall(time.Now()) > 0
}

// wall is the time of the voters' clocks, 0 when it is not known. Called with mu held.
func (c *logClock) wall(now time.Time) uint64 {
	if c.agreed.at.IsZero() || now.Sub(c.agreed.at) > agreedFor {
		return 0
	}
	return c.agreed.on(now)
}

// next is the stamp of the next entry, when that of the last one applied is known. It is the time of the voters'
// clocks, unless the log's time is ahead of that.
func (c *logClock) next(last uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stamp(last, time.Now())
}

func (c *logClock) stamp(last uint64, now time.Time) uint64 {
	c.forward(last, now)
	stamp := c.wall(now)
	if b := c.base.Load(); b != nil {
		stamp = max(stamp, b.on(now))
	}
	return stamp
}

// behind is how far the log's time is behind the voters' clocks: the next entry's stamp makes up for it.
func (c *logClock) behind() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	wall, read := c.wall(now), uint64(0)
	if b := c.base.Load(); b != nil {
		read = b.on(now)
	}
	if wall <= read {
		return 0
	}
	return time.Duration(wall-read) * time.Millisecond
}

func wall(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
