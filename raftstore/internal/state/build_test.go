package state

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"go.etcd.io/bbolt"
)

// A file of many times what is put into the index at a time reads as it was written, long ids included.
func TestReopenMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	m := openAt(t, path, never)
	const n = 5*buildBatch + 1
	for i := 0; i < n; {
		var ops []entry.Op
		for ; i < n && len(ops) < 500; i++ {
			id := fmt.Sprintf("%0*d", 4+i%61, i)
			ops = append(ops, adding(id, 1_000_000+uint32(i*7919%n), fmt.Sprint("data", i)))
		}
		do(t, m, entry.Header{Stamp: 1000}, ops...)
	}
	flush(t, m)
	want := dump(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m = openAt(t, path, never)
	if m.Len() != n {
		t.Errorf("%d sessions of %d", m.Len(), n)
	}
	if got := dump(t, m); got != want {
		t.Error("it holds something else than before")
	}
	for len(m.c.index.order) > 0 { // they leave in the order of expiry
		r := m.c.index.next()
		first := *m.c.index.at(r)
		m.c.index.remove(r)
		if r := m.c.index.next(); r != 0 && m.c.index.at(r).before(&first) {
			t.Fatal("the index is not in order")
		}
	}
}

// Two sessions of one id are found however far they are from each other.
func TestOneIDFarApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	m := openAt(t, path, never)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for seq := range uint64(3*buildBatch + 5) {
			id := binary.BigEndian.AppendUint64(nil, seq%(3*buildBatch+4))
			k := sessionKey(5, 1+seq)
			if err := tx.Bucket(sessionsBucket).Put(k[:], recordOf(k, makeValue(id, []byte("data"), false))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := Open(path, never); err == nil {
		m.Close()
		t.Error("it opens")
	}
}
