package boltfile

import (
	"errors"
	"os"
)

// giveBackBytes are given back at a time.
const giveBackBytes = 16 << 20

// GiveBack makes a file that nobody uses any more empty, a piece at a time: what a file system does to delete a large one
// in one go holds up the syncs of others. It closes the file.
func GiveBack(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	for size := fi.Size(); size > 0 && err == nil; {
		size = max(size-giveBackBytes, 0)
		err = errors.Join(f.Truncate(size), f.Sync())
	}
	return errors.Join(err, f.Close())
}
