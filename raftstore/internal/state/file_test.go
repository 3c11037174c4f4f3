package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

func TestForeignAndDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, f func(tx *bbolt.Tx) error) string {
		path := filepath.Join(dir, name)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(f); err != nil {
			t.Fatal(err)
		}
		db.Close()
		return path
	}
	ours := func(change func(sessions, meta *bbolt.Bucket) error) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			s, _ := tx.CreateBucket(sessionsBucket)
			m, _ := tx.CreateBucket(metaBucket)
			return errors.Join(m.Put(formatKey, formatValue), change(s, m))
		}
	}
	key := sessionKey(5, 1)
	for name, c := range map[string]struct {
		f    func(tx *bbolt.Tx) error
		want error
	}{
		"other buckets": {func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("logs")); return err }, ErrForeign},
		"another meta": {func(tx *bbolt.Tx) error {
			b, _ := tx.CreateBucket(metaBucket)
			return b.Put([]byte("k"), []byte("v"))
		}, ErrForeign},
		"a later format": {func(tx *bbolt.Tx) error {
			b, _ := tx.CreateBucket(metaBucket)
			return b.Put(formatKey, []byte("distcache state 5"))
		}, ErrForeign},
		"an earlier format": {func(tx *bbolt.Tx) error {
			b, _ := tx.CreateBucket(metaBucket)
			return errors.Join(b.Put(formatKey, []byte("distcache state 3")), putMeta(b, clockKey, make([]byte, 16)))
		}, ErrForeign},
		"no sessions bucket": {func(tx *bbolt.Tx) error {
			b, _ := tx.CreateBucket(metaBucket)
			return b.Put(formatKey, formatValue)
		}, ErrForeign},
		"short key": {ours(func(s, _ *bbolt.Bucket) error {
			return s.Put([]byte("k"), []byte("\x01id"))
		}), boltfile.ErrDamaged},
		"id over value": {ours(func(s, _ *bbolt.Bucket) error {
			return s.Put(key[:], []byte("\x09id"))
		}), boltfile.ErrDamaged},
		"short applied": {ours(func(_, m *bbolt.Bucket) error {
			return putMeta(m, appliedKey, []byte("x"))
		}), boltfile.ErrDamaged},
		"short clock": {ours(func(_, m *bbolt.Bucket) error {
			return putMeta(m, clockKey, []byte("x"))
		}), boltfile.ErrDamaged},
		"malformed result": {ours(func(_, m *bbolt.Bucket) error {
			return putMeta(m, clientSessionKey(1), []byte("x"))
		}), boltfile.ErrDamaged},
		"one id twice": {ours(func(s, _ *bbolt.Bucket) error {
			k2 := sessionKey(5, 2)
			value := makeValue([]byte("id"), []byte("data"), false)
			return errors.Join(s.Put(key[:], recordOf(key, value)), s.Put(k2[:], recordOf(k2, value)))
		}), boltfile.ErrDamaged},
		"a bucket for a session": {ours(func(s, _ *bbolt.Bucket) error {
			_, err := s.CreateBucket(key[:])
			return err
		}), boltfile.ErrDamaged},
	} {
		path := write(name, c.f)
		if m, err := Open(path, never); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
			if m != nil {
				m.Close()
			}
		}
		// Refused, and let go of.
		if db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 10 * time.Millisecond}); err != nil {
			t.Errorf("%s is still held: %v", name, err)
		} else {
			db.Close()
		}
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("text "), 10000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(text, never); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("text: %v", err)
	}
}
