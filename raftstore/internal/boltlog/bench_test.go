package boltlog

import (
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// BenchmarkWritesDuringCompact is how long the writes of one that appends 100 KiB at a time take, alone and while a log
// of 512 MiB is compacted. Run it with -benchtime 1x.
func BenchmarkWritesDuringCompact(b *testing.B) {
	const size, entries = 100 << 10, 512 << 20 / (100 << 10)
	var alone, during []time.Duration
	var compacting, held time.Duration
	for range b.N {
		l := openAt(b, filepath.Join(b.TempDir(), "log"))
		next := uint64(1)
		append1 := func() time.Duration {
			began := time.Now()
			put(b, l, &raft.Log{Index: next, Data: make([]byte, size)})
			next++
			return time.Since(began)
		}
		for next <= 2*entries {
			append1()
		}
		if err := l.DeleteRange(1, entries); err != nil {
			b.Fatal(err)
		}
		for range 1000 {
			alone = append(alone, append1())
		}
		var done atomic.Bool
		go func() {
			defer done.Store(true)
			began := time.Now()
			var whole time.Time
			before, after, err := l.compact(b.Context(), pieceBytes, func(s step) error {
				switch s {
				case atCopied:
					whole = time.Now()
				case atSwapped:
					held = max(held, time.Since(whole))
				}
				return nil
			})
			if err != nil {
				b.Error(err)
			}
			compacting += time.Since(began)
			b.Logf("%d MiB, %d MiB after it", before>>20, after>>20)
		}()
		for !done.Load() {
			during = append(during, append1())
		}
		shut(b, l)
	}
	for what, d := range map[string][]time.Duration{"alone": alone, "during": during} {
		slices.Sort(d)
		ms := func(part float64) float64 { return d[int(part*float64(len(d)-1))].Seconds() * 1e3 }
		b.ReportMetric(ms(0.5), "ms-p50-"+what)
		b.ReportMetric(ms(0.99), "ms-p99-"+what)
		b.ReportMetric(ms(1), "ms-max-"+what)
	}
	b.ReportMetric(held.Seconds()*1e3, "ms-swap")
	b.ReportMetric(compacting.Seconds()/float64(b.N), "s-compact")
	b.ReportMetric(float64(len(during)), "writes-during")
	b.ReportMetric(0, "ns/op")
}
