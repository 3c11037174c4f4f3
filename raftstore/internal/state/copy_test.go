package state

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// sessionsIn are the sessions that a file has.
func sessionsIn(t *testing.T, db *bbolt.DB) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(sessionsBucket).ForEach(func(k, v []byte) error {
			all[string(k)] = string(v)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCopyFollows: what changes before and behind the place that the copy has come to gets into it, and what is yet
// to be copied is not kept in mind.
func TestCopyFollows(t *testing.T) {
	m := newMachine(t, never)
	const timeout = 1_000_000
	change := func(from, to, step int, f func(i int) entry.Op) {
		t.Helper()
		var ops []entry.Op
		for i := from; i < to; i += step {
			ops = append(ops, f(i))
		}
		do(t, m, entry.Header{Stamp: 1}, ops...)
		flush(t, m)
	}
	add := func(i int) entry.Op { return adding(fmt.Sprint(i), timeout+uint32(i), "some data") }
	remove := func(i int) entry.Op { return removing(fmt.Sprint(i)) }
	const n = 3 * manyKeys
	change(n, 5*n, 1, add)

	to, err := openFile(filepath.Join(t.TempDir(), "copy.db"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	c := &compaction{m: m, from: m.db, to: to}
	m.journal = c
	next, err := c.copyFrom(nil)
	if err != nil || next == nil {
		t.Fatal(next, err)
	}
	repeat := func(changed [][keySize]byte) {
		t.Helper()
		if err := c.repeat(t.Context(), changed, true); err != nil {
			t.Fatal(err)
		}
	}
	change(n, n+4, 2, remove)
	if list := c.takeMany(next); list != nil {
		t.Errorf("%d are many", len(list))
	}
	change(n+4, 4*n, 2, remove)
	change(5*n, 6*n, 1, add)
	change(0, n/2, 1, add) // before all others
	list := c.takeMany(next)
	for _, k := range list {
		if string(k[:]) >= string(next) {
			t.Fatal("what is yet to be copied is taken")
		}
	}
	if len(list) <= n/2 || len(c.changed) > 0 {
		t.Errorf("%d taken, %d left", len(list), len(c.changed))
	}
	repeat(list)
	change(n/2, n/2+10, 1, add)
	for next != nil {
		if next, err = c.copyFrom(next); err != nil {
			t.Fatal(err)
		}
	}
	change(0, n, 3, remove)
	repeat(c.take())
	if got, want := sessionsIn(t, to), sessionsIn(t, m.db); !maps.Equal(got, want) || len(got) < n {
		t.Errorf("the copy has %d sessions, the file %d", len(got), len(want))
	}
	m.journal = nil
}

// What has changed meanwhile is caught up with: in few transactions when it is much, and not at all when it becomes
// no less.
func TestCatchUp(t *testing.T) {
	m := newMachine(t, never)
	to, err := openFile(filepath.Join(t.TempDir(), "copy.db"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	c := &compaction{m: m, from: m.db, to: to}
	list := func(n int) (keys [][keySize]byte) {
		for i := range n {
			keys = append(keys, sessionKey(uint64(i), 1), sessionKey(uint64(i), 1))
		}
		return keys
	}
	transactions := func() (n int) {
		if err := to.View(func(tx *bbolt.Tx) error { n = tx.ID(); return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, tt := range map[string]struct {
		lists        []int // each key twice; the last again and again
		rounds       int
		transactions int
		want         error
	}{
		"nothing":              {[]int{0}, 1, 0, nil},
		"little":               {[]int{100}, 1, 1, nil},
		"less and less":        {[]int{3 * manyKeys, manyKeys, 600, 100}, 4, 3 + 1 + 3 + 1, nil},
		"always much":          {[]int{3 * manyKeys}, catchUpRounds, 3 * catchUpRounds, ErrBehind},
		"more and more":        {[]int{2 * manyKeys, 4 * manyKeys}, catchUpRounds, 2 + 4*(catchUpRounds-1), ErrBehind},
		"not little, not much": {[]int{manyKeys / 4}, catchUpRounds, manyKeys / 4 / fewKeys * catchUpRounds, nil},
	} {
		t.Run(name, func(t *testing.T) {
			before, rounds := transactions(), 0
			err := c.catchUp(t.Context(), func() [][keySize]byte {
				rounds++
				return list(tt.lists[min(rounds, len(tt.lists))-1])
			})
			if n := transactions() - before; err != tt.want || rounds != tt.rounds || n != tt.transactions {
				t.Errorf("%v, %d rounds, %d transactions", err, rounds, n)
			}
		})
	}
}
