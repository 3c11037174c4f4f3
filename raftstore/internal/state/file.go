package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/sum"
	"github.com/distcache/distcache/wire"
)

// ErrForeign matches the error for a state file that this program did not write, or can't read.
var ErrForeign = errors.New("not a distcache state file")

var (
	sessionsBucket = []byte("sessions")
	metaBucket     = []byte("meta")

	formatKey  = []byte("format")
	appliedKey = []byte("applied") // index, term
	clockKey   = []byte("clock")   // last stamp, last sequence, the client sessions' clock

	formatValue = []byte("distcache state 5")
	// sealedFormat is the format of a file that has had sealed sessions.
	sealedFormat = []byte("distcache state 6")
)

const keySize = 16

func sessionKey(expiry, seq uint64) (k [keySize]byte) {
	binary.BigEndian.PutUint64(k[:], expiry)
	binary.BigEndian.PutUint64(k[8:], seq)
	return k
}

// openFile opens the state file that read has just read. An empty one is made ours.
func openFile(path string, empty bool) (*bbolt.DB, error) {
	db, err := boltfile.OpenChecked(path)
	if err != nil || !empty {
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
		// What is left would be taken for another program's file.
		return nil, errors.Join(fmt.Errorf("state file %s: %w", path, err), db.Close(), os.Remove(path))
	}
	return db, nil
}

// Every record in the file except the format ends with the CRC-32C of its key and value, because bbolt does not
// detect a changed byte within a page. A session's record is the length of its id in one byte, plus sealedBit if the
// data are sealed, the id, the data, and the checksum.
const sealedBit = 0x80

// makeValue makes a record without the checksum, and leaves room for it. recordOf adds the checksum.
func makeValue(id, data []byte, sealed bool) []byte {
	v := make([]byte, 0, 1+len(id)+len(data)+sum.Size)
	v = append(v, byte(len(id)))
	if sealed {
		v[0] |= sealedBit
	}
	v = append(v, id...)
	return append(v, data...)
}

// dataOf is the data of a value that makeValue made.
func dataOf(v []byte) []byte { return v[1+int(v[0]&^sealedBit) : len(v) : len(v)] }

func isSealed(v []byte) bool { return v[0]&sealedBit != 0 }

// recordOf makes the record of a value that makeValue made. Other goroutines may read the value meanwhile.
func recordOf(key [keySize]byte, value []byte) []byte {
	return sum.Append(value, key[:])
}

// putMeta stores a record of the meta bucket.
func putMeta(meta *bbolt.Bucket, key, value []byte) error {
	return meta.Put(key, sum.Append(slices.Clip(value), key))
}

// valueOf is the value in a record, as makeValue made it. ok is false if the record is not as it was written.
func valueOf(key, record []byte) (v []byte, ok bool) {
	v, ok = sum.Cut(record, key)
	if !ok || len(v) < 1 {
		return nil, false
	}
	n := int(v[0] &^ sealedBit)
	return v, n > 0 && n <= wire.MaxID && len(v) > 1+n
}

// idOf is the id in a value.
func idOf(v []byte) []byte { return v[1 : 1+int(v[0]&^sealedBit)] }
