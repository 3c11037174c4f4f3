package state

import (
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// fill puts n sessions of 1 KiB with ids of 32 bytes into the machine.
func fill(b *testing.B, m *Machine, n int) {
	b.Helper()
	data := make([]byte, 1024)
	random := rand.NewChaCha8([32]byte{})
	index, _ := m.Applied()
	for n > 0 {
		batch := entry.Begin(nil)
		count := min(n, 100)
		for range count {
			var id [32]byte
			random.Read(id[:])
			random.Read(data)
			timeout := uint32(3_600_000 + binary.BigEndian.Uint32(id[:])%1_000_000)
			batch = entry.AppendOp(batch, &entry.Op{
				Kind: entry.Add, Identity: identity(), Timeout: timeout, ID: id[:], Data: data})
		}
		index++
		entry.Seal(batch, entry.Header{Stamp: 1_000_000 + index, Count: count})
		if _, err := m.Apply(index, 1, batch); err != nil {
			b.Fatal(err)
		}
		n -= count
	}
	if err := m.Flush(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen is what a restart of a node waits for: its state file, checked and read.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run("sessions="+strconv.Itoa(n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "state.db")
			m := openAt(b, path, Options{})
			fill(b, m, n)
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				m, err := Open(path, Options{})
				if err != nil {
					b.Fatal(err)
				}
				if m.Len() != n {
					b.Fatalf("%d sessions", m.Len())
				}
				b.StopTimer()
				m.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkApply is what a log entry of 100 new sessions costs a node, made and applied; as many come to their end.
func BenchmarkApply(b *testing.B) {
	m := openAt(b, filepath.Join(b.TempDir(), "state.db"), Options{})
	fill(b, m, 10_000)
	index, _ := m.Applied()
	stamp, _ := m.Clock()
	var batch []byte
	var id [32]byte
	for b.Loop() {
		batch = entry.Begin(batch[:0])
		for range 100 {
			who := identity()
			binary.BigEndian.PutUint64(id[:], who.Counter)
			batch = entry.AppendOp(batch, &entry.Op{Kind: entry.Add, Identity: who, Timeout: 100, ID: id[:], Data: id[:]})
		}
		index, stamp = index+1, stamp+1
		entry.Seal(batch, entry.Header{Stamp: stamp, Count: 100})
		if _, err := m.Apply(index, 1, batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGet reads sessions that are in the file, BenchmarkHave only looks for them.
func BenchmarkGet(b *testing.B) {
	benchmarkRead(b, func(m *Machine, id []byte) ([]byte, bool, error) { d, ok, err := m.Get(id, 0); return d.Bytes, ok, err })
}

func BenchmarkHave(b *testing.B) {
	benchmarkRead(b, func(m *Machine, id []byte) ([]byte, bool, error) { m.Have(id, 0); return nil, true, nil })
}

func benchmarkRead(b *testing.B, read func(*Machine, []byte) ([]byte, bool, error)) {
	m := openAt(b, filepath.Join(b.TempDir(), "state.db"), Options{})
	fill(b, m, 10_000)
	var ids [][]byte
	for _, r := range m.c.index.order {
		ids = append(ids, m.c.index.appendID(nil, r))
	}
	for i := 0; b.Loop(); i++ {
		if _, there, err := read(m, ids[i%len(ids)]); !there || err != nil {
			b.Fatal(there, err)
		}
	}
}
