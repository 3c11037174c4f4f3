package raftstore_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

const benchData = 1024

var benchIDs atomic.Uint64

// newID is an id of 32 bytes that no other call gave.
func newID() []byte {
	b := make([]byte, 32)
	binary.BigEndian.PutUint64(b, benchIDs.Add(1)*0x9e3779b97f4a7c15)
	return b
}

// callers runs f in n goroutines, spread over the nodes, until b.N calls have been made.
func callers(b *testing.B, nodes []*testcluster.Node, n int, f func(*raftstore.Store) error) {
	b.Helper()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for i := range n {
		s := nodes[i%len(nodes)].Store
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(s); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkCluster(b *testing.B) {
	for _, nodes := range []int{1, 3} {
		for _, n := range []int{1, 64, 256} {
			for _, kind := range []raftstore.LogKind{raftstore.LogBolt, raftstore.LogWAL} {
				b.Run(fmt.Sprintf("nodes=%d/callers=%d/log=%s", nodes, n, kind), func(b *testing.B) {
					benchCluster(b, nodes, n, func(cfg *raftstore.Config) { cfg.RaftLog = kind })
				})
			}
		}
	}
}

// BenchmarkSecure is three nodes with certificates, and with a seal key, beside three with neither.
func BenchmarkSecure(b *testing.B) {
	for _, n := range []int{64, 256} {
		for name, secure := range map[string]func(*raftstore.Config){
			"plain":        func(*raftstore.Config) {},
			"certificates": newAuthority(b).secure,
			"sealed":       newKeyring(b, time.Hour).give,
		} {
			b.Run(fmt.Sprintf("callers=%d/%s", n, name), func(b *testing.B) { benchCluster(b, 3, n, secure) })
		}
	}
}

func benchCluster(b *testing.B, nodes, n int, change func(*raftstore.Config)) {
	c := testcluster.Start(b, nodes, change)
	value := make([]byte, benchData)
	ids := make([][]byte, 500)
	for i := range ids {
		ids[i] = newID()
		if err := c.Leader().Add(context.Background(), ids[i], value, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("add", func(b *testing.B) {
		callers(b, c.Running(), n, func(s *raftstore.Store) error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return s.Add(ctx, newID(), value, time.Hour)
		})
	})
	b.Run("get", func(b *testing.B) {
		var i atomic.Uint64
		callers(b, c.Running(), n, func(s *raftstore.Store) error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, err := s.Get(ctx, ids[i.Add(1)%uint64(len(ids))])
			return err
		})
	})
}
