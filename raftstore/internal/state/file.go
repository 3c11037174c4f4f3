package state

import (
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

// openFile opens the state file that read has just read. A fresh one is made ours.
func openFile(path string, fresh bool) (*bbolt.DB, error) {
	db, err := boltfile.OpenChecked(path)
	if err != nil || !fresh {
		return db, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket(sessionsBucket); err != nil {
			return err
		}
		b, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return b.Put(formatKey, formatValue)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state file %s: %w", path, err), db.Close())
	}
	return db, nil
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
