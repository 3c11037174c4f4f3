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

const noon = 1_700_000_000_000 // ms

func ms(d time.Duration) uint64 { return noon + uint64(d.Milliseconds()) }

// says makes sure of what a clock reads, from noon on, and what it gives as the next stamp.
func says(t *testing.T, c *logClock, what string, last, read, next uint64) {
	t.Helper()
	if r, n, again := c.read(), c.next(last), c.read(); r != read || n != next || again != read {
		t.Errorf("%s: reads %+d, then %+d, want %+d; stamp %+d, want %+d", what,
			int64(r-noon), int64(again-noon), int64(read-noon), int64(n-noon), int64(next-noon))
	}
}

// A leader's time goes on from the last stamp. What the voters' clocks say is for the next entry, and is read by when
// that has been applied.
func TestClockGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s, h = time.Second, time.Hour
		c := new(logClock)
		if r, n := c.read(), c.next(0); r != 0 || n != 0 || c.agrees() {
			t.Errorf("a clock that knows nothing reads %d, and gives %d", r, n)
		}
		c.agree(noon, time.Now())
		if r, n := c.read(), c.next(0); r != 0 || n != noon || !c.agrees() {
			t.Errorf("of a new cluster it reads %d, and gives %d", r, n)
		}
		c.reach(noon)
		time.Sleep(s)
		says(t, c, "a second later", noon, ms(s), ms(s))
		c.agree(ms(h), time.Now())
		says(t, c, "the clocks are put forward", noon, ms(s), ms(h))
		if b := c.behind(); b != h-s {
			t.Errorf("it is behind by %v", b)
		}
		time.Sleep(s)
		c.reach(ms(h))
		says(t, c, "an entry has said so", ms(h), ms(h), ms(h+s))
		c.agree(ms(0), time.Now())
		says(t, c, "and back", ms(h), ms(h), ms(h))
		time.Sleep(5 * s)
		says(t, c, "time goes on from there", ms(h), ms(h+5*s), ms(h+5*s))
		if b := c.behind(); b != 0 {
			t.Errorf("it is behind by %v", b)
		}
		c.agree(ms(2*h), time.Now())
		time.Sleep(agreedFor + time.Millisecond)
		says(t, c, "nobody has answered for too long", ms(h), ms(h+10*s+time.Millisecond), ms(h+10*s+time.Millisecond))
	})
}

// Another leader's time is heard of, and its successor goes on from the best that it knows of it.
func TestClockOfAnotherLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s, h = time.Second, time.Hour
		began := time.Now()
		passed := func() uint64 { return uint64(time.Since(began).Milliseconds()) }
		within := func(what string, c *logClock, least, most time.Duration) {
			t.Helper()
			if off := time.Duration(int64(c.read()-noon-passed())) * time.Millisecond; off < least || off > most {
				t.Errorf("%s: it is off by %v, want %v to %v", what, off, least, most)
			}
		}
		c := new(logClock)
		c.follow(noon + passed())
		within("the first stamp", c, 0, 0)
		for range 100 {
			stamp := noon + passed()
			time.Sleep(s)
			c.follow(stamp)
		}
		within("stamps that take a second to come", c, -105*time.Millisecond, -95*time.Millisecond)
		c.follow(noon + passed())
		within("one that is quicker", c, 0, 0)
		time.Sleep(h)
		c.follow(noon + passed() - 500) // by the leader's clock it is half a second less
		within("its own pace is corrected", c, -500*time.Millisecond, -500*time.Millisecond)
		c.follow(noon + passed() + uint64(h.Milliseconds()))
		within("the leader's time has gone forward", c, h, h)
	})
}

// However the clocks jump and whatever comes from elsewhere, what is read never falls, and never rises by less than
// time passes, also when it is asked more often than every millisecond; no stamp is below that.
func TestClockAtRandom(t *testing.T) {
	const seed = 5
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, seed))
		c := new(logClock)
		c.reach(noon)
		base, since := uint64(noon), time.Now()
		for i := range 100_000 {
			time.Sleep(time.Duration(r.IntN(700)) * time.Microsecond)
			if r.IntN(10) == 0 {
				c.agree(noon+uint64(r.IntN(600_000)), time.Now())
			}
			least := base + uint64(time.Since(since).Milliseconds())
			read := c.read()
			stamp := c.next(read - uint64(r.IntN(10)))
			if read < least || stamp < read {
				t.Fatalf("%d: it reads %d, %d ms too little, and gives %d", i, read, int64(least-read), stamp)
			}
			if r.IntN(10) == 0 {
				c.reach(stamp)
			}
			if read > least {
				base, since = read, time.Now()
			}
		}
	})
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
		first := opening(1)
		b := entry.AppendOp(entry.AppendOp(entry.Begin(nil), &first), &entry.Op{Kind: entry.Add, Identity: entry.Identity{Origin: 1, Counter: 1, Low: 1},
			Timeout: 210, ID: []byte("a session"), Data: []byte("data")})
		entry.Seal(b, entry.Header{Stamp: uint64(time.Now().Add(30 * time.Minute).UnixMilli()), Count: 2})
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
