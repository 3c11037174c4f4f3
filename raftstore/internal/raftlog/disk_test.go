package raftlog

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// memoryLog is a log whose entries and values a test can change.
type memoryLog struct {
	*raft.InmemStore
	io.Closer
	values map[string][]byte
}

func newMemoryLog() memoryLog {
	return memoryLog{InmemStore: raft.NewInmemStore(), Closer: io.NopCloser(nil), values: map[string][]byte{}}
}

// over opens a log over files.
func over(t *testing.T, f Files, opts Options) *Log {
	t.Helper()
	opts.OpenFiles = func(string, Options) (Files, error) { return f, nil }
	opts.Dir = t.TempDir()
	l, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func (m memoryLog) Set(key, value []byte) error {
	m.values[string(key)] = bytes.Clone(value)
	return nil
}

func (m memoryLog) Get(key []byte) ([]byte, error) {
	if v, ok := m.values[string(key)]; ok {
		return bytes.Clone(v), nil
	}
	return nil, raftboltdb.ErrKeyNotFound
}

// Any change in an entry, including its index and type, is detected when the entry is read.
func TestChangedLogEntryIsFound(t *testing.T) {
	for name, e := range map[string]raft.Log{
		"command": {Index: 7, Term: 3, Type: raft.LogCommand, Data: []byte("operations")},
		"configuration": {
			Index: 7, Term: 3, Type: raft.LogConfiguration, Data: []byte("servers"), Extensions: []byte("more")},
		"no-op": {Index: 7, Term: 3, Type: raft.LogNoop},
	} {
		m := newMemoryLog()
		l := over(t, m, Options{}).disk
		before := e
		if err := l.StoreLogs([]*raft.Log{&e}); err != nil {
			t.Fatal(err)
		}
		if e.Type != before.Type || !bytes.Equal(e.Extensions, before.Extensions) || !bytes.Equal(e.Data, before.Data) {
			t.Errorf("%s: storing it has changed it to %+v", name, e)
		}
		var got, stored raft.Log
		if err := l.GetLog(7, &got); err != nil || got.Term != 3 || got.Type != e.Type ||
			!bytes.Equal(got.Data, e.Data) || !bytes.Equal(got.Extensions, e.Extensions) {
			t.Errorf("%s: read as %+v, %v", name, got, err)
		}
		if err := m.GetLog(7, &stored); err != nil {
			t.Fatal(err)
		}
		changed := func(what string, change func(e *raft.Log)) {
			c := stored
			c.Data, c.Extensions = bytes.Clone(stored.Data), bytes.Clone(stored.Extensions)
			change(&c)
			if err := m.StoreLog(&c); err != nil {
				t.Fatal(err)
			}
			if err := l.GetLog(7, &got); !errors.Is(err, ErrDisk) {
				t.Errorf("%s: %s has changed: %v", name, what, err)
			}
		}
		for bit := range 64 {
			changed("its term", func(e *raft.Log) { e.Term ^= 1 << bit })
		}
		for bit := range 8 {
			changed("its type", func(e *raft.Log) { e.Type ^= 1 << bit })
			for i := range stored.Data {
				changed("its data", func(e *raft.Log) { e.Data[i] ^= 1 << bit })
			}
			for i := range stored.Extensions {
				changed("what comes behind", func(e *raft.Log) { e.Extensions[i] ^= 1 << bit })
			}
		}
		changed("its sum, which is gone,", func(e *raft.Log) { e.Extensions = nil })
	}
}

// An intact entry at the wrong index is detected.
func TestLogEntryInAnothersPlaceIsFound(t *testing.T) {
	l := over(t, misplaced{newMemoryLog()}, Options{}).disk
	if err := l.StoreLogs([]*raft.Log{{Index: 1, Term: 1}, {Index: 2, Term: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := l.GetLog(1, new(raft.Log)); !errors.Is(err, ErrDisk) {
		t.Errorf("entry 2 for entry 1: %v", err)
	}
}

// misplaced returns for each index the entry of the next index.
type misplaced struct{ memoryLog }

func (m misplaced) GetLog(index uint64, e *raft.Log) error { return m.memoryLog.GetLog(index+1, e) }

// A changed vote is detected.
func TestChangedVoteIsFound(t *testing.T) {
	m := newMemoryLog()
	l := over(t, m, Options{})
	term, candidate := []byte("CurrentTerm"), []byte("LastVoteCand")
	if _, err := l.GetUint64(term); !errors.Is(err, raftboltdb.ErrKeyNotFound) || errors.Is(err, ErrDisk) {
		t.Errorf("a term that isn't there: %v", err)
	}
	if err := errors.Join(l.SetUint64(term, 1<<40+5), l.Set(candidate, []byte("n1"))); err != nil {
		t.Fatal(err)
	}
	check := func() error {
		n, err := l.GetUint64(term)
		v, err2 := l.Get(candidate)
		if err == nil && err2 == nil && (n != 1<<40+5 || string(v) != "n1") {
			t.Errorf("read as %d and %q", n, v)
		}
		return errors.Join(err, err2)
	}
	if err := check(); err != nil {
		t.Fatal(err)
	}
	whole := maps.Clone(m.values)
	for key, value := range whole {
		for bit := range 8 * len(value) {
			m.values[key] = bytes.Clone(value)
			m.values[key][bit/8] ^= 1 << (bit % 8)
			if err := check(); !errors.Is(err, ErrDisk) {
				t.Errorf("bit %d of %s has changed: %v", bit, key, err)
			}
		}
		m.values[key] = value
	}
	m.values[string(term)], m.values[string(candidate)] = whole[string(candidate)], whole[string(term)]
	if err := check(); !errors.Is(err, ErrDisk) {
		t.Errorf("values in each other's place: %v", err)
	}
}

// brokenLog is a log that can't be read.
type brokenLog struct {
	memoryLog
	err error
}

func (b brokenLog) FirstIndex() (uint64, error)    { return 0, b.err }
func (b brokenLog) LastIndex() (uint64, error)     { return 0, b.err }
func (b brokenLog) GetLog(uint64, *raft.Log) error { return b.err }
func (b brokenLog) Get([]byte) ([]byte, error)     { return nil, b.err }

// A read error of the library is ErrDamaged, with the file's name. A missing entry or value is not an error of the
// disk.
func TestUnreadableLogIsTheDisks(t *testing.T) {
	reads := map[string]func(d *disk) error{
		"FirstIndex": func(d *disk) error { _, err := d.FirstIndex(); return err },
		"LastIndex":  func(d *disk) error { _, err := d.LastIndex(); return err },
		"GetLog":     func(d *disk) error { return d.GetLog(1, new(raft.Log)) },
		"Get":        func(d *disk) error { _, err := d.Get([]byte("LastVoteCand")); return err },
		"GetUint64":  func(d *disk) error { _, err := d.GetUint64([]byte("CurrentTerm")); return err },
	}
	for name, read := range reads {
		cause := errors.New("msgpack decode error")
		err := read(&disk{files: brokenLog{err: cause}, path: "/data/raft.db", fail: func(error) {}})
		if !errors.Is(err, ErrDisk) || !errors.Is(err, cause) || !strings.Contains(err.Error(), "/data/raft.db") {
			t.Errorf("%s: %v", name, err)
		}
		for _, missing := range []error{raft.ErrLogNotFound, raftboltdb.ErrKeyNotFound} {
			if err := read(&disk{files: brokenLog{err: missing}}); err != missing {
				t.Errorf("%s: %v, where nothing is there: %v", name, err, missing)
			}
		}
	}
}

// Reading into a raft.Log that was used before must not overwrite its former bytes, which may be in use elsewhere.
func TestReadLeavesOthersAlone(t *testing.T) {
	for _, kind := range Kinds {
		l, err := Open(Options{Dir: t.TempDir(), Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.StoreLog(&raft.Log{Index: 1, Data: []byte("new")}); err != nil {
			t.Fatal(err)
		}
		others := []byte("others")
		e := raft.Log{Index: 2, Data: others, Extensions: others}
		if err := l.disk.GetLog(3, &e); !errors.Is(err, raft.ErrLogNotFound) || e.Index != 2 {
			t.Error(e.Index, err)
		}
		if err := l.disk.GetLog(1, &e); err != nil || string(e.Data) != "new" || len(e.Extensions) > 0 {
			t.Errorf("%q, %q, %v", e.Data, e.Extensions, err)
		}
		if string(others) != "others" {
			t.Errorf("they are now %q", others)
		}
	}
}

// unwritable is a log that can't store a vote.
type unwritable struct{ memoryLog }

func (unwritable) Set([]byte, []byte) error { return syscall.EIO }

// When a vote can't be written, the call does not return to Raft, which would panic. The goroutine ends, because
// closing the node waits for it.
func TestVoteOnABrokenDisk(t *testing.T) {
	failed := make(chan error, 1)
	l := over(t, unwritable{newMemoryLog()}, Options{Fail: func(err error) { failed <- err }})
	l.Started(func() bool { return false })
	ended := make(chan bool)
	go func() {
		back := false
		defer func() { ended <- back }()
		_ = l.SetUint64([]byte("CurrentTerm"), 2)
		back = true
	}()
	if <-ended {
		t.Error("Raft goes on")
	}
	if why := <-failed; !errors.Is(why, ErrDisk) || !errors.Is(why, syscall.EIO) || l.Broken() != why {
		t.Errorf("the node is told %v", why)
	}
}
