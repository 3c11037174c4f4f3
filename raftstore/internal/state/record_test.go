package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

// writeFile makes a state file with one record.
func writeFile(t *testing.T, key [keySize]byte, record []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		s, _ := tx.CreateBucket(sessionsBucket)
		m, _ := tx.CreateBucket(metaBucket)
		return errors.Join(m.Put(formatKey, formatValue), s.Put(key[:], record))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// A disk that has changed a bit of a session is found out, wherever in the record or its key that is.
func TestChangedRecordIsFound(t *testing.T) {
	key := sessionKey(1<<40, 7)
	record := recordOf(key, makeValue([]byte("the id"), []byte("the data"), false))
	whole := append(key[:], record...)
	for bit := range 8 * len(whole) {
		changed := bytes.Clone(whole)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, ok := valueOf(changed[:keySize], changed[keySize:]); ok {
			t.Errorf("bit %d of byte %d is changed, and the record is taken", bit%8, bit/8)
		}
	}
	if v, ok := valueOf(key[:], record); !ok || string(idOf(v)) != "the id" || string(dataOf(v)) != "the data" || isSealed(v) {
		t.Errorf("the record as it was written: %q, %v", v, ok)
	}
}

// changeByte changes what is there once in a file, as a disk may.
func changeByte(t *testing.T, path string, what []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(b, what) != 1 {
		t.Fatalf("the file has it %d times, not once", bytes.Count(b, what))
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := int64(bytes.Index(b, what))
	if _, err := f.WriteAt([]byte{what[0] ^ 4}, at); err != nil {
		t.Fatal(err)
	}
}

// At the start the file is refused; while it is open no other data are given than those that were stored.
func TestChangedDataAreNotServed(t *testing.T) {
	key := sessionKey(1<<60, 7)
	id, data := []byte("the id"), []byte("data that are there once")
	path := writeFile(t, key, recordOf(key, makeValue(id, data, false)))
	m, err := Open(path, never)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok, err := m.Get(id, 0); !ok || err != nil || !bytes.Equal(got.Bytes, data) {
		t.Fatalf("before: %q, %v, %v", got.Bytes, ok, err)
	}
	changeByte(t, path, data)
	if got, ok, err := m.Get(id, 0); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("after: %q, %v, %v; want %v", got.Bytes, ok, err, boltfile.ErrDamaged)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := Open(path, never); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("opened again: %v, want %v", err, boltfile.ErrDamaged)
		if m != nil {
			m.Close()
		}
	}
}
