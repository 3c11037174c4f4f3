package state

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

// A model is the state machine written down naively.
type model struct {
	stamp, seq     uint64
	clock          uint64 // of the client sessions
	forgotten      int    // of the client sessions
	unknown        int    // operations of client sessions that are not known
	sessions       map[string]modelSession
	clientSessions map[uint64]*modelClientSession
}

type modelSession struct {
	expiry, seq uint64
	data        []byte
}

type modelClientSession struct {
	low, heard uint64
	results    map[uint64]wire.Status
}

func newModel() *model {
	return &model{sessions: map[string]modelSession{}, clientSessions: map[uint64]*modelClientSession{}}
}

func (m *model) apply(h entry.Header, ops []entry.Op) (results []wire.Status) {
	if h.Stamp > m.stamp {
		m.clock += min(h.Stamp-m.stamp, 5000)
		m.stamp = h.Stamp
	}
	for id, s := range m.sessions {
		if s.expiry <= m.stamp {
			delete(m.sessions, id)
		}
	}
	for id, o := range m.clientSessions {
		if o.heard+10*60*1000 < m.clock {
			delete(m.clientSessions, id)
			m.forgotten++
		}
	}
	m.evict(h.Capacity)
	for _, op := range ops {
		results = append(results, m.op(op, h.Capacity))
	}
	return results
}

func (m *model) op(op entry.Op, capacity uint64) wire.Status {
	o := m.clientSessions[op.Origin]
	switch {
	case op.Kind == entry.Session && o == nil:
		m.clientSessions[op.Origin] = &modelClientSession{low: 1, heard: m.clock, results: map[uint64]wire.Status{}}
		return wire.OK
	case op.Kind == entry.Session:
		return wire.NotOK
	case o == nil:
		m.unknown++
		return wire.Disconnected
	}
	o.heard, o.low = m.clock, max(o.low, op.Low)
	if op.Counter < o.low {
		return wire.Disconnected
	}
	if s, ok := o.results[op.Counter]; ok {
		return s
	}
	s := wire.OK
	old, found := m.sessions[string(op.ID)]
	switch op.Kind {
	case entry.Remove:
		if !found {
			s = wire.NotOK
		}
		delete(m.sessions, string(op.ID))
	case entry.Add:
		if found {
			s = wire.MatchingSession
			_ = old
			break
		}
		m.seq++
		if op.Timeout > 0 {
			m.sessions[string(op.ID)] = modelSession{m.stamp + uint64(op.Timeout), m.seq, bytes.Clone(op.Data)}
		}
		m.evict(capacity)
	}
	o.results[op.Counter] = s
	return s
}

func (m *model) evict(capacity uint64) {
	for capacity > 0 && uint64(len(m.sessions)) > capacity {
		var first string
		for id, s := range m.sessions {
			f, ok := m.sessions[first]
			if !ok || s.expiry < f.expiry || s.expiry == f.expiry && s.seq < f.seq {
				first = id
			}
		}
		delete(m.sessions, first)
	}
}

func (m *model) check(t testing.TB, real *Machine) {
	t.Helper()
	if real.Len() != len(m.sessions) {
		t.Fatalf("%d sessions, want %d", real.Len(), len(m.sessions))
	}
	for id, s := range m.sessions {
		got, ok, err := real.Get([]byte(id), 0)
		if err != nil || !ok || !bytes.Equal(got.Bytes, s.data) || !have(t, real, id) {
			t.Fatalf("session %q: there %v, %d bytes of %d, %v", id, ok, len(got.Bytes), len(s.data), err)
		}
	}
}

// Thousands of random operations give the results that the model gives, whenever the machine flushes, crashes and is
// opened again.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			g, want := newGenerator(seed), newModel()
			dir := t.TempDir()
			file := func(life int) string { return filepath.Join(dir, fmt.Sprintf("state%d.db", life)) }
			life := 0
			m := openAt(t, file(life), never)
			var log [][]byte
			for i := range 1500 {
				h, ops := g.entry()
				log = append(log, encode(h, ops...))
				index := uint64(len(log))
				got, err := m.Apply(index, 1, log[index-1])
				if err != nil {
					t.Fatal(err)
				}
				if w := want.apply(h, ops); !slices.Equal(got, w) {
					t.Fatalf("seed %d, entry %d: results %v, want %v", seed, index, got, w)
				}
				if again, err := m.Apply(index, 1, log[index-1]); err != nil || again != nil {
					t.Fatalf("seed %d: entry %d was applied twice: %v, %v", seed, index, again, err)
				}
				if g.r.IntN(60) == 0 {
					flush(t, m)
				}
				if g.r.IntN(150) == 0 {
					// A crash, now or right after a flush: what the file holds, and the log after it.
					copyFile(t, file(life), file(life+1))
					life++
					m.Close()
					m = openAt(t, file(life), never)
					from, _ := m.Applied()
					for j := from; j < index; j++ {
						if _, err := m.Apply(j+1, 1, log[j]); err != nil {
							t.Fatal(err)
						}
					}
				}
				if i%50 == 0 {
					want.check(t, m)
				}
			}
			want.check(t, m)
			if want.forgotten == 0 {
				t.Errorf("seed %d: no client session was ever forgotten", seed)
			}
			if want.unknown == 0 {
				t.Errorf("seed %d: nothing was asked of a client session that is not known", seed)
			}
		})
	}
}

// Two machines that apply the same entries hold the same, to the last recorded result, also when one of them flushes
// and crashes all the time and the other never does.
func TestDeterminism(t *testing.T) {
	const seed = 42
	g := newGenerator(seed)
	dir := t.TempDir()
	file := func(life int) string { return filepath.Join(dir, fmt.Sprintf("state%d.db", life)) }
	calm, life := newMachine(t, never), 0
	busy := openAt(t, file(0), never)
	var log [][]byte
	for range 1000 {
		h, ops := g.entry()
		log = append(log, encode(h, ops...))
		index := uint64(len(log))
		a, err := calm.Apply(index, 3, log[index-1])
		if err != nil {
			t.Fatal(err)
		}
		b, err := busy.Apply(index, 3, log[index-1])
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a, b) {
			t.Fatalf("seed %d, entry %d: %v here, %v there", seed, index, a, b)
		}
		if g.r.IntN(60) == 0 {
			flush(t, busy)
		}
		if g.r.IntN(60) == 0 {
			copyFile(t, file(life), file(life+1))
			life++
			busy.Close()
			busy = openAt(t, file(life), never)
			from, _ := busy.Applied()
			for j := from; j < index; j++ {
				if _, err := busy.Apply(j+1, 3, log[j]); err != nil {
					t.Fatal(err)
				}
			}
			if a, b := dump(t, calm), dump(t, busy); a != b {
				t.Fatalf("seed %d, entry %d: the two differ\n%.2000s\n%.2000s", seed, index, a, b)
			}
		}
	}
	if a, b := dump(t, calm), dump(t, busy); a != b {
		t.Fatalf("seed %d: the two differ\n%.2000s\n%.2000s", seed, a, b)
	}
}
