package client

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/wire"
)

// Requests that wait behind a write may be given up in any order: the rest go out, in theirs.
func TestCancelUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3000
		c, p := pair(t, ConnConfig{MaxInFlight: 1 + n, WriteTimeout: time.Hour})
		ignore := func([]byte, error) {}
		if _, err := c.Start(wire.OpGet, []byte("stuck in a write"), ignore); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		uids := make([]uint32, n)
		for i := range uids {
			var err error
			if uids[i], err = c.Start(wire.OpGet, fmt.Append(nil, "id", i), ignore); err != nil {
				t.Fatal(err)
			}
		}
		// The first, the last, and most of those between.
		given := append(rand.Perm(n - 1)[:n-n/10], 0, n-1)
		slices.Sort(given)
		given = slices.Compact(given)
		rand.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
		for _, i := range given {
			if canceled, sent := c.Cancel(uids[i]); !canceled || sent {
				t.Fatalf("request %d: canceled %v, sent %v", i, canceled, sent)
			}
			if canceled, _ := c.Cancel(uids[i]); canceled {
				t.Fatalf("request %d was canceled twice", i)
			}
		}
		if got := c.InFlight(); got != 1+n-len(given) {
			t.Errorf("%d requests are under way, want %d", got, 1+n-len(given))
		}
		p.request()
		slices.Sort(given)
		for i := range n {
			if _, gone := slices.BinarySearch(given, i); gone {
				continue
			}
			if got, want := string(p.request().Payload), fmt.Sprint("id", i); got != want {
				t.Fatalf("%q goes out, want %q", got, want)
			}
		}
		synctest.Wait()
		if c.queue != (queue{}) {
			t.Error("the queue is not empty")
		}
	})
}

// BenchmarkCancelUnsent is a connection whose peer takes nothing: all the requests that wait are given up, the last
// first.
func BenchmarkCancelUnsent(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 16} {
		b.Run(fmt.Sprint("waiting=", n), func(b *testing.B) {
			nc, other := net.Pipe()
			c := NewConn(nc, ConnConfig{MaxInFlight: n + 1, WriteTimeout: time.Hour})
			defer c.Close()
			defer other.Close()
			id, ignore := make([]byte, 32), func([]byte, error) {}
			if _, err := c.Start(wire.OpGet, id, ignore); err != nil {
				b.Fatal(err)
			}
			uids := make([]uint32, 0, n)
			for done := 0; done < b.N; done += len(uids) {
				b.StopTimer()
				uids = uids[:0]
				for range min(n, b.N-done) {
					uid, err := c.Start(wire.OpGet, id, ignore)
					if err != nil {
						b.Fatal(err)
					}
					uids = append(uids, uid)
				}
				b.StartTimer()
				for _, uid := range slices.Backward(uids) {
					c.Cancel(uid)
				}
			}
		})
	}
}
