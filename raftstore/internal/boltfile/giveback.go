package boltfile

import (
	"context"
	"errors"
	"os"
	"time"
)

const (
	// giveBackBytes are given back at a time. A file system that tells the disk what it no longer uses (mounted with
	// discard) has everybody's syncs wait until the disk has taken note, and others for what a truncation writes.
	giveBackBytes = 1 << 20
	// giveBackRest times the time that a piece took is the pause before the next piece.
	giveBackRest = 4
)

// GiveBack makes a file that nobody uses any more empty, a little at a time and with rests: what a file system does to
// delete a large one in one go holds up the syncs of others. It ends early, without an error, when ctx does: the rest
// goes when the caller closes the file, if it has no name any more.
func GiveBack(ctx context.Context, f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return giveBack(ctx, fi.Size(), func(size int64) error { return errors.Join(f.Truncate(size), f.Sync()) })
}

// giveBack has shrink make a file smaller, down to nothing.
func giveBack(ctx context.Context, size int64, shrink func(int64) error) error {
	for size > 0 && ctx.Err() == nil {
		began := time.Now()
		size = max(size-giveBackBytes, 0)
		if err := shrink(size); err != nil {
			return err
		}
		if size > 0 {
			Rest(ctx, giveBackRest*time.Since(began))
		}
	}
	return nil
}

// Rest leaves the disk to others for so long, or until ctx ends. Who rests in proportion to what its work on the disk
// has just taken leaves them their share, however slow it is.
func Rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
