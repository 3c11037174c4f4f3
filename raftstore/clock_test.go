package raftstore

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// A timepiece is a clock with what it goes by: time as it passes, and what the wall clock says.
type timepiece struct {
	*testing.T
	logClock
	now  time.Time
	wall uint64
}

const noon = 1_700_000_000_000 // ms

func newTimepiece(t *testing.T) *timepiece { return &timepiece{T: t, now: time.Now(), wall: noon} }

// pass lets time go by for both clocks.
func (c *timepiece) pass(d time.Duration) {
	c.now = c.now.Add(d)
	c.wall += uint64(d / time.Millisecond)
}

func (c *timepiece) step(d time.Duration) { c.wall += uint64(d.Milliseconds()) }

// stamps makes sure of the next stamp, from noon on, and of what is read before and after that.
func (c *timepiece) stamps(what string, last uint64, want time.Duration) {
	c.Helper()
	before, got, after := c.at(last, c.now, c.wall), c.give(last, c.now, c.wall), c.at(last, c.now, c.wall)
	if w := noon + uint64(want.Milliseconds()); got != w || before != w || after != w {
		c.Errorf("%s: noon %+d, %+d, %+d; want %+d", what, int64(before-noon), int64(got-noon), int64(after-noon), int64(w-noon))
	}
}

func TestClockGoesOn(t *testing.T) {
	const s, h = time.Second, time.Hour
	c := newTimepiece(t)
	c.stamps("a new cluster", 0, 0)
	c.pass(s)
	c.stamps("the wall clock's time", 0, s)
	c.step(h)
	c.stamps("it is put forward", noon, h+s)
	c.step(-h)
	c.stamps("and back", noon, h+s)
	c.pass(5 * s)
	c.stamps("time goes on from there", noon, h+6*s)
	c.pass(2 * h)
	c.stamps("ahead by as much", noon, 3*h+6*s)
	c.step(h - s)
	c.stamps("the wall clock is almost there", noon, 3*h+6*s)
	c.step(2 * s)
	c.stamps("and beyond", noon, 3*h+7*s)
}

// Another leader's stamps are heard of, and its successor goes on from the last of them, at the time when it came.
func TestClockOfAnotherLeader(t *testing.T) {
	const s, h = time.Second, time.Hour
	c := newTimepiece(t)
	for i := range 10 {
		c.saw(noon+uint64(i*1000)+60_000, c.now)
		c.pass(s)
	}
	c.pass(20 * s)
	c.stamps("after the election", noon+69_000, 90*s)
	c.pass(s)
	c.stamps("one of the old leader's is applied late", noon+90_500, 91*s)
	c.stamps("one of its that is ahead, too", noon+95_000, 95*s)
}

// However the wall clock jumps and whatever comes from elsewhere, stamps never fall and never rise by less than time
// passes, also when there are more of them than milliseconds.
func TestClockAtRandom(t *testing.T) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, seed))
	c := newTimepiece(t)
	last := c.give(noon+3_600_000, c.now, c.wall)
	first, began := last, c.now
	for i := range 100_000 {
		c.now = c.now.Add(time.Duration(r.IntN(700)) * time.Microsecond)
		c.wall = noon + uint64(r.IntN(1_800_000))
		stamp := c.give(last-uint64(r.IntN(10)), c.now, c.wall)
		if stamp < last {
			t.Fatalf("stamp %d is %d, after %d", i, stamp, last)
		}
		if last = stamp; last-first != uint64(c.now.Sub(began)/time.Millisecond) {
			t.Fatalf("after %s the stamps have risen by %d ms", c.now.Sub(began), last-first)
		}
	}
}

func TestWallBeforeItsTime(t *testing.T) {
	if w := wall(time.Unix(-5, 0)); w != 0 {
		t.Errorf("before 1970 it is %d", w)
	}
}

// A leader drops sessions when their time is over by the log's clock, also when that is ahead of the wall clock.
func TestDropDueByTheLogsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := state.Open(filepath.Join(t.TempDir(), stateFile), state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		b := entry.AppendOp(entry.Begin(nil), &entry.Op{Kind: entry.Add, Identity: entry.Identity{Origin: 1, Counter: 1, Low: 1},
			Timeout: 210, ID: []byte("a session"), Data: []byte("data")})
		entry.Seal(b, entry.Header{Stamp: uint64(time.Now().Add(30 * time.Minute).UnixMilli()), Count: 1})
		if _, err := m.Apply(1, 1, b); err != nil {
			t.Fatal(err)
		}
		n := &node{state: m, batcher: &batcher{kick: make(chan struct{}, 1)}}
		for _, want := range []struct{ slept, wait time.Duration }{
			{0, dropTick}, {160 * time.Millisecond, dropTick}, {49 * time.Millisecond, time.Millisecond},
		} {
			time.Sleep(want.slept)
			if wait := n.dropDue(); wait != want.wait || n.batcher.cur != nil {
				t.Errorf("too soon: wait %s, want %s, proposed %v", wait, want.wait, n.batcher.cur != nil)
			}
		}
		time.Sleep(time.Millisecond)
		if n.dropDue(); n.batcher.cur == nil {
			t.Error("nothing is proposed for a session whose time is over")
		}
	})
}
