package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/wire"
)

// ErrForeign matches the error for a state file that this program did not write, or can't read.
var ErrForeign = errors.New("not a distcache state file")

var (
	sessionsBucket = []byte("sessions")
	metaBucket     = []byte("meta")

	formatKey  = []byte("format")
	appliedKey = []byte("applied") // index, term
	clockKey   = []byte("clock")   // last stamp, last sequence

	formatValue = []byte("distcache state 1")
)

const keySize = 16

func sessionKey(expiry, seq uint64) (k [keySize]byte) {
	binary.BigEndian.PutUint64(k[:], expiry)
	binary.BigEndian.PutUint64(k[8:], seq)
	return k
}

// openFile opens the state file. With create, one that is missing or empty is made a new one.
func openFile(path string, create bool) (*bbolt.DB, error) {
	db, err := boltfile.Open(path)
	if err != nil {
		return nil, err
	}
	err = boltfile.Guard(path, func() error { return initFile(db, create) })
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("state file %s: %w", path, err)
	}
	return db, nil
}

// initFile makes an empty file ours, with create, and refuses any other that isn't.
func initFile(db *bbolt.DB, create bool) error {
	var format []byte
	empty := true
	err := db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(metaBucket); b != nil {
			format = bytes.Clone(b.Get(formatKey))
		}
		return tx.ForEach(func([]byte, *bbolt.Bucket) error { empty = false; return nil })
	})
	switch {
	case err != nil:
		return err
	case bytes.Equal(format, formatValue):
		return nil
	case format != nil:
		return fmt.Errorf("%w of a version this program reads (it says %q)", ErrForeign, format)
	case !empty || !create:
		return ErrForeign
	}
	return db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket(sessionsBucket); err != nil {
			return err
		}
		b, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return b.Put(formatKey, formatValue)
	})
}

// contents are what a state file says, but for the sessions' data.
type contents struct {
	index       *index
	origins     *origins
	nodes       map[string]string // node name to instance
	applied     uint64
	appliedTerm uint64
	stamp, seq  uint64
}

// load reads the whole file. Keys come in the order of expiry, which is a heap as it stands.
func load(path string, db *bbolt.DB) (c contents, err error) {
	err = boltfile.Guard(path, func() error {
		return db.View(func(tx *bbolt.Tx) error {
			if c, err = loadMeta(tx.Bucket(metaBucket)); err != nil {
				return err
			}
			return loadSessions(tx.Bucket(sessionsBucket), c.index)
		})
	})
	if err != nil {
		return c, fmt.Errorf("state file %s: %w", path, err)
	}
	return c, nil
}

func loadMeta(b *bbolt.Bucket) (c contents, err error) {
	if b == nil {
		return c, ErrForeign
	}
	c = contents{index: newIndex(), origins: newOrigins(), nodes: make(map[string]string)}
	if c.applied, c.appliedTerm, err = loadPair(b, appliedKey); err != nil {
		return c, err
	}
	if c.stamp, c.seq, err = loadPair(b, clockKey); err != nil {
		return c, err
	}
	cur := b.Cursor()
	for k, v := cur.Seek([]byte{'o'}); len(k) == originKeySize && k[0] == 'o'; k, v = cur.Next() {
		o, ok := decodeOrigin(v)
		if !ok {
			return c, fmt.Errorf("%w: a recorded result is malformed", boltfile.ErrDamaged)
		}
		c.origins.byID[binary.BigEndian.Uint64(k[1:])] = o
	}
	for k, v := cur.Seek([]byte{nodePrefix}); len(k) > 1 && k[0] == nodePrefix; k, v = cur.Next() {
		c.nodes[string(k[1:])] = string(v)
	}
	return c, nil
}

// loadPair reads two integers, 0 when nothing has been applied yet.
func loadPair(b *bbolt.Bucket, key []byte) (x, y uint64, err error) {
	v := b.Get(key)
	switch len(v) {
	case 0:
		return 0, 0, nil
	case 16:
		return binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:]), nil
	}
	return 0, 0, fmt.Errorf("%w: %s is malformed", boltfile.ErrDamaged, key)
}

// Names of nodes are keys of the meta bucket behind a byte that sorts after all others.
const nodePrefix = 0xff

func nodeKey(name string) []byte { return append([]byte{nodePrefix}, name...) }

func loadSessions(b *bbolt.Bucket, x *index) error {
	if b == nil {
		return ErrForeign
	}
	cur := b.Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		id, _, ok := splitValue(v)
		if len(k) != keySize || !ok {
			return fmt.Errorf("%w: a session's record is malformed", boltfile.ErrDamaged)
		}
		if x.find(id) != 0 {
			return fmt.Errorf("%w: two sessions have one id", boltfile.ErrDamaged)
		}
		seq := binary.BigEndian.Uint64(k[8:])
		if seq == 0 {
			return fmt.Errorf("%w: a session's key is malformed", boltfile.ErrDamaged)
		}
		x.insert(id, binary.BigEndian.Uint64(k), seq, onDisk)
	}
	return nil
}

// A session's value is its id's length, the id, the data.
func makeValue(id, data []byte) []byte {
	v := make([]byte, 0, 1+len(id)+len(data))
	v = append(v, byte(len(id)))
	v = append(v, id...)
	return append(v, data...)
}

// dataOf is the data of a value that makeValue made.
func dataOf(v []byte) []byte { return v[1+int(v[0]):] }

func splitValue(v []byte) (id, data []byte, ok bool) {
	if len(v) < 1 {
		return nil, nil, false
	}
	n := int(v[0])
	if n == 0 || n > wire.MaxID || len(v) <= 1+n {
		return nil, nil, false
	}
	return v[1 : 1+n], v[1+n:], true
}
