package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/entry"
)

// peak leaves a machine with a file for many sessions, of which few are left.
func peak(t testing.TB, path string, o Options) *Machine {
	t.Helper()
	m := openAt(t, path, o)
	data := strings.Repeat("x", 1000)
	for i := range 4000 {
		timeout := uint32(1000)
		if i%100 == 0 {
			timeout = 1_000_000
		}
		do(t, m, entry.Header{Stamp: 1}, adding(fmt.Sprintf("session %d", i), timeout, data))
	}
	flush(t, m)
	do(t, m, entry.Header{Stamp: 2000}, adding("last", 1_000_000, "y"))
	flush(t, m)
	return m
}

func compact(t testing.TB, m *Machine) (before, after int64) {
	t.Helper()
	before, after, err := m.Compact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return before, after
}

// settled waits until nobody uses the old file any more.
func settled(m *Machine) {
	m.mu.Lock()
	c := m.compacting
	m.mu.Unlock()
	if c != nil {
		<-c.done
	}
}

// While it is under way, it is known how far it has come.
func TestCompactTellsHowFarItIs(t *testing.T) {
	m := openAt(t, filepath.Join(t.TempDir(), "state.db"), never)
	const sessions = 1000 // of which a transaction of the copy takes a part
	for i := range sessions {
		do(t, m, entry.Header{Stamp: 1}, adding(fmt.Sprintf("session %d", i), 1000, strings.Repeat("x", 1000)))
	}
	flush(t, m)
	c := &compaction{m: m, path: m.path + compactSuffix, cancel: func() {}, done: make(chan struct{})}
	is := func(least, most int) int {
		t.Helper()
		copied, all := m.Copied()
		if copied < least || copied > most || all > 0 && all != sessions {
			t.Errorf("%d of %d are copied, not %d to %d", copied, all, least, most)
		}
		return copied
	}
	is(0, 0)
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	is(0, 0)
	var err error
	if c.to, err = openFile(c.path, true); err != nil {
		t.Fatal(err)
	}
	defer c.to.Close()
	next, err := c.copyFrom(nil)
	for some := 0; next != nil && err == nil; next, err = c.copyFrom(next) {
		some = is(some+1, sessions-1)
	}
	if err != nil {
		t.Fatal(err)
	}
	is(sessions, sessions)
	c.end()
	if copied, all := m.Copied(); copied != 0 || all != 0 {
		t.Errorf("afterwards %d of %d are copied", copied, all)
	}
}

func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	m := peak(t, path, never)
	want := dump(t, m)
	before, after := compact(t, m)
	if _, size := m.Flushed(); size != after || before < 4_000_000 || after > 200_000 {
		t.Errorf("from %d to %d bytes, and the file has %d", before, after, size)
	}
	if got := dump(t, m); got != want {
		t.Error("the state is another")
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	if _, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Millisecond}); err == nil {
		t.Error("another can open the file")
	}
	// It goes on with the new file.
	do(t, m, entry.Header{Stamp: 2001}, adding("more", 1_000_000, "z"), removing("session 0"))
	want = dump(t, m)
	settled(m)
	before, after = compact(t, m)
	if after > before {
		t.Errorf("from %d to %d bytes", before, after)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, openAt(t, path, never)); got != want {
		t.Error("the file has another state")
	}
}

// TestCompactWhileApplying holds a machine that is compacted again and again against one that never is.
func TestCompactWhileApplying(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	m := openAt(t, path, Options{FlushInterval: time.Millisecond, FlushBytes: 2000})
	other := newMachine(t, never)
	applied := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		g := newGenerator(7)
		for n := uint64(1); n <= 1500 || ctx.Err() == nil; n++ {
			h, ops := g.entry()
			b := encode(h, ops...)
			_, err := m.Apply(n, 1, b)
			_, err2 := other.Apply(n, 1, b)
			for _, op := range ops {
				_, _, err3 := m.Get(op.ID, 0)
				err = errors.Join(err, err3)
			}
			if err := errors.Join(err, err2); err != nil {
				applied <- err
				return
			}
		}
		applied <- nil
	}()
	for range 20 {
		settled(m)
		compact(t, m)
	}
	stop()
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	settled(m)
	compact(t, m) // with something not flushed, perhaps
	if dump(t, m) != dump(t, other) {
		t.Error("the state is another")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if dump(t, openAt(t, path, never)) != dump(t, other) {
		t.Error("the file has another state")
	}
}

// TestCompactAfterCrash: whatever a crash leaves, the file that is there is whole, and so is what was left beside it.
func TestCompactAfterCrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	m := peak(t, path, never)
	want := dump(t, m)
	copyFile(t, path, filepath.Join(dir, "before.db"))
	compact(t, m)
	copyFile(t, path, filepath.Join(dir, "after.db"))
	for _, name := range []string{"before.db", "after.db"} {
		left := filepath.Join(dir, name)
		if err := os.WriteFile(left+compactSuffix, []byte("half a copy"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := dump(t, openAt(t, left, never)); got != want {
			t.Errorf("%s: the state is another", name)
		}
		if _, err := os.Stat(left + compactSuffix); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the half copy is still there", name)
		}
	}
}

func TestCompactGivenUp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	m := peak(t, path, never)
	want := dump(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := m.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := os.Mkdir(path+compactSuffix, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+compactSuffix, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Compact(t.Context()); err == nil {
		t.Error("with a directory in its way it worked")
	}
	if err := os.RemoveAll(path + compactSuffix); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	if got := dump(t, m); got != want {
		t.Error("the state is another")
	}
	if m.journal != nil {
		t.Error("changes are still noted")
	}
	compact(t, m)
}

// TestCompactUnderStream: a node that is being sent the file gets all of the one that was there.
func TestCompactUnderStream(t *testing.T) {
	dir := t.TempDir()
	m := peak(t, filepath.Join(dir, "state.db"), never)
	want := dump(t, m)
	size, r, err := m.Stream()
	if err != nil {
		t.Fatal(err)
	}
	compact(t, m)
	if _, _, err := m.Compact(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("while the old file is read: %v", err)
	}
	if got := dump(t, m); got != want {
		t.Error("the state is another")
	}
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		t.Errorf("%d bytes of %d, %v", len(b), size, err)
	}
	r.Close()
	settled(m)
	sent := filepath.Join(dir, "sent.db")
	if err := os.WriteFile(sent, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, openAt(t, sent, never)); got != want {
		t.Error("what was sent is another state")
	}
	// Closing breaks a stream off, and does not wait for its reader.
	_, r, err = m.Stream()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	compact(t, m)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestInstallEndsCompact: a received state comes first.
func TestInstallEndsCompact(t *testing.T) {
	dir := t.TempDir()
	sent := peak(t, filepath.Join(dir, "sent.db"), never)
	want := dump(t, sent)
	for range 10 {
		m := peak(t, filepath.Join(t.TempDir(), "state.db"), never)
		copyFile(t, filepath.Join(dir, "sent.db"), filepath.Join(dir, "received.db"))
		compacted := make(chan error, 1)
		go func() {
			_, _, err := m.Compact(t.Context())
			compacted <- err
		}()
		if err := m.Install(filepath.Join(dir, "received.db")); err != nil {
			t.Fatal(err)
		}
		if err := <-compacted; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		if got := dump(t, m); got != want {
			t.Error("the state is not the one installed")
		}
		m.Close()
	}
}
