// Package boltfile opens bbolt files that may be damaged. bbolt maps a file into memory and trusts it: a truncated file
// ends the process with a bus error. [Open] checks the file first and returns an error that says what is wrong.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The layout of a bbolt file's first two pages: a page header of 16 bytes, then the meta record.
const (
	pageHeader   = 16
	metaSize     = 64
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	minPageSize  = 1 << 9
	maxPageSize  = 1 << 16
	lockPatience = 100 * time.Millisecond
)

// initialMmap is the address space for a file: 64 GiB, or 64 MiB on 32-bit machines. It takes no memory. Since bbolt
// never has to map the file anew, growth of the file never waits for a reader.
const initialMmap = 1 << (26 + 10*(^uint(0)>>63))

// ErrDamaged matches the error for a file that is no bbolt file, or not a whole one.
var ErrDamaged = errors.New("file is damaged or not a bbolt file")

// Options are the options for all our files. Every transaction is synced. The freelist is not written; bbolt rebuilds
// it when it opens the file.
func Options() *bbolt.Options {
	return &bbolt.Options{
		Timeout:         lockPatience,
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: initialMmap,
		MmapFlags:       mmapFlags,
	}
}

// Open checks the file, if there is one, and opens it; a missing one is created with mode 0600.
func Open(path string) (db *bbolt.DB, err error) {
	if err := Check(path, nil); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return OpenChecked(path)
}

// OpenChecked opens a file that Check has just found to be whole; a missing one is created with mode 0600.
func OpenChecked(path string) (db *bbolt.DB, err error) {
	err = With(path, func(o *bbolt.Options) (err error) {
		db, err = bbolt.Open(path, 0o600, o)
		return err
	})
	return db, err
}

// With calls open with Options for a file that Check has just found to be whole. If a new file can't be created, as
// on a full disk, With removes its remains, which the next start would take for a damaged file.
func With(path string, open func(*bbolt.Options) error) error {
	_, missing := os.Lstat(path)
	err := Guard(path, func() error { return open(Options()) })
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("%s is in use by another process", path)
	}
	if err != nil && errors.Is(missing, os.ErrNotExist) {
		os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return nil
}

// Guard runs a function that reads the file at path through bbolt for the first time. It turns bbolt's panic over a
// damaged page into an error.
func Guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w (%v)", path, ErrDamaged, p)
		}
	}()
	return f()
}

// A Visit is given each key and value of a file, and the bucket that they are in, in the order of the keys. A
// bucket comes before what is in it, as a key with the value nil, in the bucket nil; what a bucket within a bucket
// holds is given as the outer one's. The slices are the file's own, and good until Visit returns. An error ends the
// Check.
type Visit func(bucket, key, value []byte) error

// Check holds the whole file against the rules of its format, so that bbolt meets nothing in it that it would panic
// over: bbolt looks for free pages when it opens a file, in a goroutine that Guard does not reach. On the way it shows
// what is there to visit, if that is not nil. An empty file passes: bbolt fills it.
func Check(path string, visit Visit) error {
	_, _, err := Measure(path, visit)
	return err
}

// Measure is Check, and tells how many bytes of pages the file has, and how many of them are in use. The others are
// free for what is stored next.
func Measure(path string, visit Visit) (size, used int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || fi.Size() == 0 {
		return 0, 0, err
	}
	m, err := newestMeta(f)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	size = int64(m.pages) * int64(m.pageSize)
	if fi.Size() < size {
		return 0, 0, fmt.Errorf("%s: %w: it is cut short, %d bytes of %d", path, ErrDamaged, fi.Size(), size)
	}
	err = Guard(path, func() error {
		pages, err := checkTree(f, m, visit)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		used = pages * int64(m.pageSize)
		return nil
	})
	return size, used, err
}

// newestMeta reads the two meta records and returns the valid one of the last transaction.
func newestMeta(f io.ReaderAt) (newest meta, err error) {
	newest, ok := readMeta(f, 0)
	sizes := []int64{int64(newest.pageSize)}
	if !ok {
		sizes = sizes[:0]
		for s := int64(minPageSize); s <= maxPageSize; s *= 2 {
			sizes = append(sizes, s)
		}
	}
	for _, s := range sizes {
		if second, ok2 := readMeta(f, s); ok2 && (!ok || second.txid > newest.txid) {
			newest, ok = second, true
		}
	}
	if !ok {
		return newest, fmt.Errorf("%w: it has no valid meta page", ErrDamaged)
	}
	return newest, nil
}

type meta struct {
	pageSize       uint32
	root, freelist uint64 // page numbers
	pages, txid    uint64
}

func readMeta(r io.ReaderAt, at int64) (meta, bool) {
	b := make([]byte, metaSize)
	if _, err := r.ReadAt(b, at+pageHeader); err != nil {
		return meta{}, false
	}
	order := binary.NativeEndian
	if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVersion {
		return meta{}, false
	}
	h := fnv.New64a()
	h.Write(b[:metaSize-8])
	if order.Uint64(b[56:]) != h.Sum64() {
		return meta{}, false
	}
	m := meta{
		pageSize: order.Uint32(b[8:]),
		root:     order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		txid:     order.Uint64(b[48:]),
	}
	if m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pages > 1<<40 {
		return meta{}, false
	}
	return m, true
}

// Keys are those in one bucket of the file, which is checked.
func Keys(path, bucket string) (keys []string, err error) {
	found := false
	err = Check(path, func(in, key, _ []byte) error {
		switch {
		case in == nil && string(key) == bucket:
			found = true
		case string(in) == bucket:
			keys = append(keys, string(key))
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%s: %w: it has no %q", path, ErrDamaged, bucket)
	}
	return keys, err
}
