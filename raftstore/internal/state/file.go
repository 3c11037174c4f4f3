package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

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

	formatValue = []byte("distcache state 2")
	plainFormat = []byte("distcache state 1") // may have records without a checksum
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

// A session's record in the file is summed and its id's length in one byte, the id, the data, and the CRC-32C of the key
// and of all that: bbolt does not notice what a disk has changed within a page. Records of files of plainFormat may be
// without summed and the sum.
const (
	summed  = 0x80
	sumSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// makeValue makes a record but for its sum, which recordOf adds in the room that is left for it.
func makeValue(id, data []byte) []byte {
	v := make([]byte, 0, 1+len(id)+len(data)+sumSize)
	v = append(v, summed|byte(len(id)))
	v = append(v, id...)
	return append(v, data...)
}

// dataOf is the data of a value that makeValue made.
func dataOf(v []byte) []byte { return v[1+int(v[0]&^summed) : len(v) : len(v)] }

// recordOf makes the record of a value that makeValue made. Others may read that meanwhile.
func recordOf(key [keySize]byte, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, sumOf(key[:], value))
}

func sumOf(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// splitRecord takes a record apart; not ok when it is not as it was written. plain is whether it may lack a sum.
func splitRecord(key, v []byte, plain bool) (id, data []byte, ok bool) {
	if len(v) > sumSize && v[0]&summed != 0 {
		end := len(v) - sumSize
		if sumOf(key, v[:end]) != binary.BigEndian.Uint32(v[end:]) {
			return nil, nil, false
		}
		v = v[:end]
	} else if len(v) < 1 || v[0]&summed != 0 || !plain {
		return nil, nil, false
	}
	n := int(v[0] &^ summed)
	if n == 0 || n > wire.MaxID || len(v) <= 1+n {
		return nil, nil, false
	}
	return v[1 : 1+n], v[1+n:], true
}
