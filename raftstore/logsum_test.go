package raftstore

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"strings"
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

// Whatever a disk changes in an entry, its place and kind too, is found out when the entry is read.
func TestChangedLogEntryIsFound(t *testing.T) {
	for name, e := range map[string]raft.Log{
		"command":       {Index: 7, Term: 3, Type: raft.LogCommand, Data: []byte("operations")},
		"configuration": {Index: 7, Term: 3, Type: raft.LogConfiguration, Data: []byte("servers"), Extensions: []byte("more")},
		"no-op":         {Index: 7, Term: 3, Type: raft.LogNoop},
	} {
		m := memoryLog{InmemStore: raft.NewInmemStore()}
		l := &summedLog{logFiles: m}
		before := e
		if err := l.StoreLog(&e); err != nil {
			t.Fatal(err)
		}
		if e.Type != before.Type || !bytes.Equal(e.Extensions, before.Extensions) || !bytes.Equal(e.Data, before.Data) {
			t.Errorf("%s: storing it has changed it to %+v", name, e)
		}
		var got, stored raft.Log
		if err := l.GetLog(7, &got); err != nil || got.Term != 3 || got.Type != e.Type || !bytes.Equal(got.Data, e.Data) || !bytes.Equal(got.Extensions, e.Extensions) {
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

// An entry in another's place is not that one.
func TestLogEntryInAnothersPlaceIsFound(t *testing.T) {
	l := &summedLog{logFiles: misplaced{memoryLog{InmemStore: raft.NewInmemStore()}}}
	if err := l.StoreLogs([]*raft.Log{{Index: 1, Term: 1}, {Index: 2, Term: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := l.GetLog(1, new(raft.Log)); !errors.Is(err, ErrDisk) {
		t.Errorf("entry 2 for entry 1: %v", err)
	}
}

// misplaced gives the next entry for each.
type misplaced struct{ memoryLog }

func (m misplaced) GetLog(index uint64, e *raft.Log) error { return m.memoryLog.GetLog(index+1, e) }

// A vote that the disk has changed is none.
func TestChangedVoteIsFound(t *testing.T) {
	m := memoryLog{InmemStore: raft.NewInmemStore(), values: map[string][]byte{}}
	l := &summedLog{logFiles: m}
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

func (b brokenLog) FirstIndex() (uint64, error)      { return 0, b.err }
func (b brokenLog) LastIndex() (uint64, error)       { return 0, b.err }
func (b brokenLog) GetLog(uint64, *raft.Log) error   { return b.err }
func (b brokenLog) Get([]byte) ([]byte, error)       { return nil, b.err }
func (b brokenLog) GetUint64([]byte) (uint64, error) { return 0, b.err }

// Whatever can't be read of the log is the disk's fault, and said with the file's name; what isn't there is none.
func TestUnreadableLogIsTheDisks(t *testing.T) {
	reads := map[string]func(l *summedLog) error{
		"FirstIndex": func(l *summedLog) error { _, err := l.FirstIndex(); return err },
		"LastIndex":  func(l *summedLog) error { _, err := l.LastIndex(); return err },
		"GetLog":     func(l *summedLog) error { return l.GetLog(1, new(raft.Log)) },
		"Get":        func(l *summedLog) error { _, err := l.Get([]byte("LastVoteCand")); return err },
		"GetUint64":  func(l *summedLog) error { _, err := l.GetUint64([]byte("CurrentTerm")); return err },
	}
	for name, read := range reads {
		cause := errors.New("msgpack decode error")
		err := read(&summedLog{brokenLog{err: cause}, "/data/raft.db"})
		if !errors.Is(err, ErrDisk) || !errors.Is(err, cause) || !strings.Contains(err.Error(), "/data/raft.db") {
			t.Errorf("%s: %v", name, err)
		}
		for _, missing := range []error{raft.ErrLogNotFound, raftboltdb.ErrKeyNotFound} {
			if err := read(&summedLog{brokenLog{err: missing}, "/data/raft.db"}); err != missing {
				t.Errorf("%s: %v, where nothing is there: %v", name, err, missing)
			}
		}
	}
}
