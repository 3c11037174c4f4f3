package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The file says which rings there are, also to a process that has not been told to read it again.
func TestFileSaysWhichRings(t *testing.T) {
	path := keyFile(t)
	k := keys(t, path)
	if _, err := Add(path, time.Hour, time.UnixMilli(int64(start))); err != nil {
		t.Fatal(err)
	}
	if err := k.Advance(start + hour); err != nil {
		t.Fatal(err)
	}
	if rings, err := Show(path); err != nil || len(rings) != 2 || len(k.Rings()) != 2 {
		t.Errorf("after one was added: %+v in the file, %+v in memory, %v", rings, k.Rings(), err)
	}
	if err := Drop(path, k.Rings()[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := k.Advance(start + 2*hour); err != nil {
		t.Fatal(err)
	}
	if rings, err := Show(path); err != nil || len(rings) != 1 || len(k.Rings()) != 1 {
		t.Errorf("after one was dropped: %+v in the file, %+v in memory, %v", rings, k.Rings(), err)
	}
}

// An older copy of the file does not bring a key back, nor does another process with the same file.
func TestOlderCopyIsMovedOn(t *testing.T) {
	path := keyFile(t)
	before, _ := os.ReadFile(path)
	k, behind := keys(t, path), keys(t, path)
	b := sealed(t, k, start+hour/2)
	if err := k.Advance(start + hour); err != nil {
		t.Fatal(err)
	}
	if err := behind.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := opens(keys(t, copyOf(t, path)), b); !errors.Is(err, ErrForgotten) {
		t.Errorf("after another process has written the file: %v", err)
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := opens(keys(t, copyOf(t, path)), b); !errors.Is(err, ErrForgotten) {
		t.Errorf("after an older copy was read: %v", err)
	}
}

// What a link leads to is replaced, not the link.
func TestLink(t *testing.T) {
	path, link := keyFile(t), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := keys(t, link).Advance(start + hour); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", fi.Mode(), err)
	}
	if rings, err := Show(path); err != nil || len(rings) != 1 {
		t.Errorf("the file has %+v, %v", rings, err)
	}
}

// After a crash between any two steps of replacing the file there is one with the keys.
func TestCrashBetweenSteps(t *testing.T) {
	path := keyFile(t)
	k := keys(t, path)
	b := sealed(t, k, start+2*hour)
	good, _ := os.ReadFile(path)
	zeros := make([]byte, len(good))
	for name, files := range map[string][2][]byte{
		"the new one is not whole":   {good, good[:20]},
		"the new one is whole":       {good, good},
		"the old one is overwritten": {zeros, good},
		"half of it":                 {append(bytes.Clone(zeros[:30]), good[30:]...), good},
	} {
		for i, content := range files {
			if err := os.WriteFile([]string{path, path + newSuffix}[i], content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		left, err := os.Open(path + newSuffix)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Open(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := opens(again, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again.Close()
		rest := make([]byte, len(good))
		left.ReadAt(rest, 0)
		left.Close()
		if len(bytes.Trim(rest, "\x00")) > 0 {
			t.Errorf("%s: the keys in the file that was left are not overwritten", name)
		}
		if _, err := os.Stat(path + newSuffix); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: that file is still there: %v", name, err)
		}
	}
}

// Whoever changes the file leaves it to its owner.
func TestOwnerIsKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := keyFile(t)
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := Add(path, time.Hour, time.UnixMilli(int64(start))); err != nil {
		t.Fatal(err)
	}
	if uid := ownerOf(t, path); uid != 12345 {
		t.Errorf("the file belongs to %d", uid)
	}
}

// With the shortest epochs, sessions of a week are opened without walking the chain each time.
func BenchmarkOpenMinutes(b *testing.B) {
	path := filepath.Join(b.TempDir(), "key")
	if _, err := Create(path, time.Minute, time.UnixMilli(int64(start))); err != nil {
		b.Fatal(err)
	}
	k := keys(b, path)
	data, id := make([]byte, 1024), make([]byte, 32)
	var blobs [][]byte
	for i := range uint64(7 * 24 * 60) {
		blob, err := k.Seal(nil, 0, id, data, start+i*60_000)
		if err != nil {
			b.Fatal(err)
		}
		blobs = append(blobs, blob)
	}
	i := 0
	for b.Loop() {
		if _, err := k.Open(nil, 0, id, blobs[i*7919%len(blobs)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
