package boltlog

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
	"github.com/distcache/distcache/raftstore/internal/files"
)

const (
	// copySuffix is added to the log's name for the copy that is made of it.
	copySuffix = ".compact"
	// leastFree is the least free space for which a file is compacted: it is not worth it for a small log.
	leastFree = 1 << 20
	// copyBytes are copied in one transaction.
	copyBytes = 8 << 20
)

// freeIn is how much of a file is free if that is more than half of it, otherwise 0.
func freeIn(size, used int64) int64 {
	if free := size - used; free > used && free >= leastFree {
		return free
	}
	return 0
}

// Free is the number of free bytes that Open will release the next time. It is 0 while no more than half of the file is
// free.
func (l *Log) Free() int64 {
	var st unix.Stat_t
	if unix.Stat(l.path, &st) != nil {
		return 0
	}
	// bbolt grows a file by 16 MiB at a time. The part beyond the last page takes no space on the disk until it is
	// written.
	size := min(st.Size, st.Blocks*512)
	return freeIn(size, size-int64(l.Stats().FreeAlloc))
}

// compact puts a copy of a file, without what is free in it, in the file's place. The copy is synced before that,
// so that a crash leaves one of the two, which hold the same; Open removes what is left of the copy. A copy that
// can't be made is only logged, and the file stays as it is. The error is one after which nobody knows which of the
// two a crash would leave.
func compact(path string, log hclog.Logger) error {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if err := replace(path); err != nil {
		log.Warn("the log's file is more than half free, and could not be made smaller", "error", err)
		return nil
	}
	log.Info("the log's file was more than half free, and is smaller now")
	return files.SyncDir(filepath.Dir(path))
}

func replace(path string) error {
	from, err := boltfile.OpenChecked(path)
	if err != nil {
		return err
	}
	name := path + copySuffix
	if err := files.Remove(name); err != nil { // left over from a crash
		return errors.Join(err, from.Close())
	}
	to, err := boltfile.OpenChecked(name)
	if err == nil {
		to.AllocSize = leastFree // how much bbolt grows the file at a time; the default is 16 MiB
		err = errors.Join(bbolt.Compact(to, from, copyBytes), to.Close())
	}
	if err = errors.Join(err, from.Close()); err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		return errors.Join(err, files.Remove(name))
	}
	return nil
}
