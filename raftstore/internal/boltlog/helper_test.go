package boltlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/boltfile"
)

func openAt(t testing.TB, path string) *Log {
	t.Helper()
	l, err := Open(path, Options{Compact: true})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func shut(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// nothingLeft makes sure that there is no copy.
func nothingLeft(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Lstat(path + copySuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a copy was left: %v", err)
	}
}

// A model is what a log should have. It makes up what Raft might write next, the same from the same seed.
type model struct {
	r           *rand.Rand
	term        uint64
	first, last uint64 // of the entries behind the last gap
	entries     map[uint64]*raft.Log
	values      map[string][]byte
}

func newModel(seed uint64) *model {
	return &model{
		r:       rand.New(rand.NewPCG(seed, seed)),
		term:    1,
		first:   1,
		entries: make(map[uint64]*raft.Log),
		values:  make(map[string][]byte),
	}
}

// next makes up one write, and returns what does it to a log.
func (m *model) next() func(*Log) error {
	n := m.last + 1 - m.first
	switch k := m.r.IntN(100); {
	case k < 8:
		return m.vote()
	case k < 14 && n > 20:
		return m.remove(m.first, m.first+m.r.Uint64N(n/2))
	case k < 20 && n > 5:
		m.term++
		return m.remove(m.last-m.r.Uint64N(min(n, 10)), m.last)
	case k < 22:
		return m.snapshot()
	case k < 24:
		return m.again()
	}
	return m.append(1 + m.r.IntN(6))
}

func (m *model) entry(index uint64) *raft.Log {
	e := &raft.Log{
		Index:      index,
		Term:       m.term,
		Type:       raft.LogType(m.r.IntN(3)),
		Data:       make([]byte, m.r.IntN(3000)),
		AppendedAt: time.Unix(0, 1e18+int64(index)),
	}
	for i := range e.Data {
		e.Data[i] = byte(m.r.Uint32())
	}
	if m.r.IntN(4) == 0 {
		e.Extensions = []byte("extensions")
	}
	m.entries[index] = e
	return e
}

func (m *model) append(n int) func(*Log) error {
	var es []*raft.Log
	for range n {
		m.last++
		es = append(es, m.entry(m.last))
	}
	return func(l *Log) error { return l.StoreLogs(es) }
}

// again stores an entry once more that is there already, which Raft does not do.
func (m *model) again() func(*Log) error {
	if m.last < m.first {
		return m.append(1)
	}
	e := m.entry(m.first + m.r.Uint64N(m.last+1-m.first))
	return func(l *Log) error { return l.StoreLog(e) }
}

func (m *model) remove(first, last uint64) func(*Log) error {
	maps.DeleteFunc(m.entries, func(i uint64, _ *raft.Log) bool { return first <= i && i <= last })
	if last == m.last {
		m.last = first - 1
	} else {
		m.first = last + 1
	}
	return func(l *Log) error { return l.DeleteRange(first, last) }
}

// snapshot goes on with an index beyond a snapshot just received. What was before stays for the time being.
func (m *model) snapshot() func(*Log) error {
	m.last += 1 + m.r.Uint64N(1e9)
	m.first = m.last + 1
	return m.append(2)
}

func (m *model) vote() func(*Log) error {
	if m.r.IntN(2) == 0 {
		m.values["CurrentTerm"] = binary.BigEndian.AppendUint64(nil, m.term)
		term := m.term
		return func(l *Log) error { return l.SetUint64([]byte("CurrentTerm"), term) }
	}
	v := fmt.Appendf(nil, "n%d", m.r.IntN(1000))
	m.values["LastVoteCand"] = v
	return func(l *Log) error { return l.Set([]byte("LastVoteCand"), v) }
}

// differs tells how a log that nobody writes to differs from the model.
func (m *model) differs(l *Log) error {
	n := 0
	err := boltfile.Check(l.path, func(_, _, value []byte) error {
		if value != nil {
			n++
		}
		return nil
	})
	if want := len(m.entries) + len(m.values); err != nil || n != want {
		return fmt.Errorf("%d entries and values, want %d (%v)", n, want, err)
	}
	for i, want := range m.entries {
		var e raft.Log
		if err := l.GetLog(i, &e); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if e.Index != i || e.Term != want.Term || e.Type != want.Type || !bytes.Equal(e.Data, want.Data) ||
			!bytes.Equal(e.Extensions, want.Extensions) || !e.AppendedAt.Equal(want.AppendedAt) {
			return fmt.Errorf("entry %d is another one", i)
		}
	}
	for k, want := range m.values {
		if v, err := l.Get([]byte(k)); err != nil || !bytes.Equal(v, want) {
			return fmt.Errorf("%s is %x, want %x (%v)", k, v, want, err)
		}
	}
	return nil
}

// same makes sure that a log has what the model has.
func (m *model) same(t testing.TB, l *Log) {
	t.Helper()
	if err := m.differs(l); err != nil {
		t.Fatal(err)
	}
}

// do makes n writes.
func (m *model) do(t testing.TB, l *Log, n int) {
	t.Helper()
	for range n {
		if err := m.next()(l); err != nil {
			t.Fatal(err)
		}
	}
}

// newLog makes a log with something in it.
func newLog(t testing.TB, seed uint64, writes int) (*Log, *model) {
	t.Helper()
	l := openAt(t, filepath.Join(t.TempDir(), "log"))
	t.Cleanup(func() { _ = l.Close() })
	m := newModel(seed)
	m.do(t, l, writes)
	return l, m
}
