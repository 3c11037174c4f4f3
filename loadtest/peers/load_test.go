package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A work of a fakeStore: before it is measured each caller gets 5 answers, and 20 while it is. The one that comes in the
// moment in which the measuring begins is not counted, nor is the last.
const (
	short   = 20 * fakeLatency
	asked   = 25
	counted = 19
)

func noUsage() (usage, error) { return usage{}, nil }

func TestLoadAdds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l := &load{work: work{opAdd, 7}, store: f, text: newText(100)}
		m := l.run(t.Context(), short, noUsage)
		if n := m.latency.TotalCount(); n != 7*counted || len(f.sessions) != 7*asked || len(m.errors) != 0 {
			t.Errorf("%d good answers, %d sessions, errors %v", n, len(f.sessions), m.errors)
		}
		if median := time.Duration(m.latency.ValueAtQuantile(50)).Round(fakeLatency / 100); median != fakeLatency {
			t.Errorf("they took %v", median)
		}
		for id, data := range f.sessions {
			if len(id) != idLen || len(data) != 100 {
				t.Fatalf("a session with an id of %d bytes and data of %d", len(id), len(data))
			}
		}
		for way := range 7 {
			if f.ways[way] != asked {
				t.Errorf("%d requests went by way %d", f.ways[way], way)
			}
		}
	})
}

// Fewer callers than nodes go round them.
func TestLoneCallerGoesRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l := &load{work: work{opAdd, 1}, store: f, text: newText(10)}
		l.run(t.Context(), short, noUsage)
		for way, n := range f.ways {
			if n != 1 || way >= asked {
				t.Errorf("%d requests by way %d", n, way)
			}
		}
	})
}

// Every answer is looked at, before the measuring too.
func TestLoadErrors(t *testing.T) {
	known := session{make([]byte, idLen), []byte("data")}
	for name, c := range map[string]struct {
		op     operation
		stored []byte
		fail   error
		want   error
	}{
		"refused": {op: opAdd, fail: errExists, want: errExists},
		"missing": {op: opGet, want: errMissing},
		"changed": {op: opGet, stored: []byte("atad"), want: errData},
		"longer":  {op: opGet, stored: []byte("data and more"), want: errData},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeStore()
			f.fail = c.fail
			if c.stored != nil {
				f.sessions[string(known.id)] = c.stored
			}
			l := &load{work: work{c.op, 4}, store: f, text: newText(10), stored: []session{known}}
			m := l.run(t.Context(), short, noUsage)
			if m.latency.TotalCount() != 0 || m.errors[c.want.Error()] != 4*asked || len(m.errors) != 1 {
				t.Errorf("%s: %d good answers and errors %v", name, m.latency.TotalCount(), m.errors)
			}
		})
	}
}

// A session that is what was stored is a good answer.
func TestLoadGets(t *testing.T) {
	known := session{make([]byte, idLen), []byte("data")}
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.sessions[string(known.id)] = []byte("data")
		l := &load{work: work{opGet, 4}, store: f, text: newText(10), stored: []session{known}}
		m := l.run(t.Context(), short, noUsage)
		if n := m.latency.TotalCount(); n != 4*counted || len(m.errors) != 0 {
			t.Errorf("%d good answers, errors %v", n, m.errors)
		}
	})
}

// Usage is that of the time that is measured.
func TestLoadUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &load{work: work{opAdd, 1}, store: newFakeStore(), text: newText(10)}
		var readAt []time.Duration
		now, disk, start := usage{servers: 5, load: 7, syncs: []uint64{1, 2}}, []uint64{100, 130}, time.Now()
		m := l.run(t.Context(), short, func() (usage, error) {
			readAt = append(readAt, time.Since(start))
			now.servers += 10
			now.load += 20
			now.syncs = []uint64{now.syncs[0] + 1, now.syncs[1] + 2}
			now.disk, disk = &disk[0], disk[1:]
			return now, nil
		})
		if u := m.used; u == nil || u.servers != 10 || u.load != 20 || *u.disk != 30 || !slices.Equal(u.syncs, []uint64{1, 2}) {
			t.Errorf("used: %+v", u)
		}
		if want := []time.Duration{short / warmUp, short/warmUp + short}; !slices.Equal(readAt, want) {
			t.Errorf("read at %v", readAt)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		l := &load{work: work{opAdd, 1}, store: newFakeStore(), text: newText(10)}
		m := l.run(t.Context(), short, func() (usage, error) { return usage{}, broken })
		if m.used != nil || m.usedUnknown != broken {
			t.Errorf("used: %+v, %v", m.used, m.usedUnknown)
		}
	})
}

// An interrupted load ends at once, and what the interruption does to requests is no error.
func TestLoadInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFakeStore()
	l := &load{work: work{opAdd, 3}, store: &cancelStore{f, cancel}, text: newText(10)}
	m := l.run(ctx, time.Hour, noUsage)
	if len(m.errors) != 0 {
		t.Errorf("errors %v", m.errors)
	}
}

// A cancelStore interrupts, and fails for it.
type cancelStore struct {
	*fakeStore
	cancel func()
}

func (s *cancelStore) add(ctx context.Context, _ int, _ session) error {
	s.cancel()
	return ctx.Err()
}

func TestTallyIsBounded(t *testing.T) {
	a := tally{}
	for i := range 3 * maxKinds {
		a.add(string(rune('a'+i)), 1)
	}
	b := tally{}
	b.merge(a)
	b.merge(a)
	if len(a) != maxKinds+1 || a["a"] != 1 || len(b) > maxKinds+1 || b.total() != 6*maxKinds {
		t.Errorf("%v, twice: %v", a, b)
	}
	b.add(string(make([]byte, 10*maxText)), 1)
	for what := range b {
		if len(what) > maxText {
			t.Errorf("a text of %d bytes", len(what))
		}
	}
}
