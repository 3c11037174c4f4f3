package state

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/entry"
)

// metaOf gives a file's meta records, and changes them by f.
func metaOf(t *testing.T, path string, f func(meta *bbolt.Bucket) error) (keys, values [][]byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(metaBucket)
		if err := f(b); err != nil {
			return err
		}
		return b.ForEach(func(k, v []byte) error {
			keys, values = append(keys, bytes.Clone(k)), append(values, bytes.Clone(v))
			return nil
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return keys, values
}

// Where the log goes on, what time it is and which requests have been carried out: a bit of that
// which the disk has changed would be believed, and undo what was acknowledged.
func TestChangedMetaRecordIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	m := openAt(t, path, never)
	do(t, m, entry.Header{Stamp: 1000}, adding("a", 5000, "data"), removing("b"))
	flush(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	keys, values := metaOf(t, path, func(*bbolt.Bucket) error { return nil })
	if len(keys) < 3 {
		t.Fatalf("the file has %d meta records", len(keys))
	}
	for i, key := range keys {
		whole := append(bytes.Clone(key), values[i]...)
		for at := range whole {
			changed := bytes.Clone(whole)
			changed[at] ^= 1 << (at % 8)
			metaOf(t, path, func(b *bbolt.Bucket) error {
				return errors.Join(b.Delete(key), b.Put(changed[:len(key)], changed[len(key):]))
			})
			if _, _, err := read(path); !errors.Is(err, boltfile.ErrDamaged) && !errors.Is(err, ErrForeign) {
				t.Errorf("byte %d of %q is changed: %v", at, key, err)
			}
			metaOf(t, path, func(b *bbolt.Bucket) error {
				return errors.Join(b.Delete(changed[:len(key)]), b.Put(key, values[i]))
			})
		}
	}
	if _, _, err := read(path); err != nil {
		t.Errorf("as it was: %v", err)
	}
}
