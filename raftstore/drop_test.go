package raftstore

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// A leader proposes an entry when sessions are to be dropped, and is told when that will be if it is before it looks
// again.
func TestDropDue(t *testing.T) {
	for name, c := range map[string]struct {
		in       time.Duration // until the session expires; 0: there is none
		limit    uint64
		proposes bool
		wait     time.Duration
	}{
		"none":              {0, 0, false, dropTick},
		"much later":        {time.Hour, 0, false, dropTick},
		"at the next tick":  {dropTick, 0, false, dropTick},
		"before":            {dropTick - time.Millisecond, 0, false, dropTick - time.Millisecond},
		"in a moment":       {time.Millisecond, 0, false, time.Millisecond},
		"now":               {-time.Millisecond, 0, true, dropTick},
		"long ago":          {-time.Hour, 0, true, dropTick},
		"as many as may be": {time.Hour, 2, false, dropTick},
		"too many":          {time.Hour, 1, true, dropTick},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, err := state.Open(filepath.Join(t.TempDir(), stateFile), state.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			n := &node{cfg: Config{Sessions: c.limit}, state: m, batcher: &batcher{kick: make(chan struct{}, 1)}}
			if c.in != 0 {
				before := time.Now().Add(-2 * time.Hour)
				for i, in := range []time.Duration{c.in, 2 * time.Hour} {
					first := opening(1)
					b := entry.AppendOp(entry.AppendOp(entry.Begin(nil), &first), &entry.Op{Kind: entry.Add, Identity: entry.Identity{Origin: 1, Counter: uint64(i + 1), Low: 1},
						Timeout: uint32(time.Since(before).Milliseconds() + in.Milliseconds()), ID: []byte{byte(i + 1)}, Data: []byte("data")})
					entry.Seal(b, entry.Header{Stamp: uint64(before.UnixMilli()), Count: 2})
					if _, err := m.Apply(uint64(i+1), 1, b); err != nil {
						t.Fatal(err)
					}
				}
			}
			n.clock.reach(wall(time.Now()))
			wait := n.dropDue()
			if proposed := n.batcher.cur != nil; proposed != c.proposes || wait != c.wait {
				t.Errorf("%s: proposed %v, wait %s; want %v, %s", name, proposed, wait, c.proposes, c.wait)
			}
		})
	}
}
