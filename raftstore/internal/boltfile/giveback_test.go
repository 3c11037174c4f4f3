package boltfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestGiveBack(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(5*giveBackBytes + 1); err != nil {
		t.Fatal(err)
	}
	if err := GiveBack(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if fi, err := f.Stat(); err != nil || fi.Size() != 0 {
		t.Errorf("%v, %v", fi, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := GiveBack(t.Context(), f); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: %v", err)
	}
}

// Others have the disk for most of the time, however slow it is, and never wait for more than a small piece.
func TestGiveBackRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow, pieces = time.Second, 6
		size, n := int64((pieces-1)*giveBackBytes+1), 0
		began := time.Now()
		err := giveBack(t.Context(), size, func(to int64) error {
			if size-to > 1<<20 || size <= to {
				t.Errorf("from %d to %d bytes in one go", size, to)
			}
			size = to
			n++
			time.Sleep(slow)
			return nil
		})
		if err != nil || size != 0 || n != pieces {
			t.Fatalf("%d bytes are left after %d pieces: %v", size, n, err)
		}
		if rested := time.Since(began) - pieces*slow; rested < (pieces-1)*3*slow {
			t.Errorf("it rested for %v", rested)
		}
	})
}

// It ends at once, in the middle of a rest too.
func TestGiveBackEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		shrink := func(int64) error {
			n++
			time.Sleep(time.Hour)
			return nil
		}
		began := time.Now()
		time.AfterFunc(90*time.Minute, cancel)
		if err := giveBack(ctx, 9*giveBackBytes, shrink); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 90*time.Minute || n != 1 {
			t.Errorf("it ended after %v and %d pieces", d, n)
		}
		if err := giveBack(ctx, 9*giveBackBytes, shrink); err != nil || n != 1 {
			t.Errorf("%d pieces, %v", n, err)
		}
	})
}

func TestGiveBackFails(t *testing.T) {
	failure := errors.New("failure")
	n := 0
	err := giveBack(t.Context(), 9*giveBackBytes, func(int64) error {
		n++
		return failure
	})
	if !errors.Is(err, failure) || n != 1 {
		t.Errorf("%v after %d pieces", err, n)
	}
}
