package state

import (
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/seal"
	"github.com/distcache/distcache/wire"
)

// Sealed sessions stay sealed sessions through the file, which then says that it has some. Those whose keys would be gone
// too early, or are kept for too long, are refused.
func TestSealedSessions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	now := time.Now()
	if _, err := seal.Create(path, time.Hour, now); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	stamp := uint64(now.UnixMilli())
	sealed := func(id string, expiry uint64) []byte {
		b, err := keys.Seal(nil, 0, []byte(id), []byte("the data"), expiry)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const hour = 3600 * 1000
	file := filepath.Join(t.TempDir(), "state.db")
	m, err := Open(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	op := func(counter uint64, id string, data []byte, isSealed bool) entry.Op {
		return entry.Op{Kind: entry.Add, Identity: entry.Identity{Origin: 1, Counter: counter, Low: 1}, Timeout: 2 * hour,
			ID: []byte(id), Data: data, Sealed: isSealed}
	}
	ops := []entry.Op{
		{Kind: entry.Session, Identity: entry.Identity{Origin: 1}},
		op(1, "plain", []byte("the data"), false),
		op(2, "sealed", sealed("sealed", stamp+2*hour), true),
		op(3, "early", sealed("early", stamp), true),
		op(4, "late", sealed("late", stamp+100*hour), true),
		op(5, "nonsense", []byte("no sealed data at all"), true),
	}
	b := entry.Begin(nil)
	for i := range ops {
		b = entry.AppendOp(b, &ops[i])
	}
	entry.Seal(b, entry.Header{Stamp: stamp, Count: len(ops), Sealed: true})
	got, err := m.Apply(1, 1, b)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []wire.Status{wire.OK, wire.OK, wire.OK, SealAgain, SealAgain, SealAgain} {
		if got[i] != want {
			t.Errorf("operation %d: %v, want %v", i, got[i], want)
		}
	}
	look := func(when string) {
		t.Helper()
		for id, isSealed := range map[string]bool{"plain": false, "sealed": true} {
			d, ok, err := m.Get([]byte(id), 0)
			if err != nil || !ok || d.Sealed != isSealed {
				t.Fatalf("%s: %s: %+v, %v, %v", when, id, d, ok, err)
			}
			if !isSealed {
				continue
			}
			if data, err := keys.Open(nil, 0, []byte(id), d.Bytes); err != nil || string(data) != "the data" {
				t.Errorf("%s: %d bytes, %v", when, len(data), err)
			}
		}
		if n := m.Plain(); n != 1 || m.Len() != 2 {
			t.Errorf("%s: %d of %d sessions are not sealed", when, n, m.Len())
		}
	}
	look("in memory")
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	look("in the file")
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.View(func(tx *bbolt.Tx) error {
		if format := tx.Bucket(metaBucket).Get(formatKey); string(format) != string(sealedFormat) {
			t.Errorf("the file's format is %q", format)
		}
		return nil
	})
	db.Close()
	if m, err = Open(file, Options{}); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	look("read again")
}
