package store_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

var background = context.Background()

func mustAdd(t testing.TB, m *store.Memory, id string, timeout time.Duration) {
	t.Helper()
	if err := m.Add(background, []byte(id), []byte("data of "+id), timeout); err != nil {
		t.Fatalf("adding %s: %v", id, err)
	}
}

func has(m *store.Memory, id string) bool { return m.Have(background, []byte(id)) == nil }

func TestMemory(t *testing.T) {
	m := store.NewMemory(0)
	defer m.Close()
	id, data := []byte("id"), []byte("data")
	if err := m.Add(background, id, data, time.Minute); err != nil {
		t.Fatal(err)
	}
	id[0], data[0] = 'x', 'x' // the store must have copied them
	id = []byte("id")
	if err := m.Add(background, id, []byte("other"), time.Hour); err != wire.MatchingSession {
		t.Errorf("second Add: %v", err)
	}
	if got, err := m.Get(background, id); err != nil || string(got) != "data" {
		t.Errorf("Get: %q, %v", got, err)
	}
	if m.Len() != 1 || m.Have(background, id) != nil {
		t.Errorf("Len %d", m.Len())
	}
	if err := m.Remove(background, id); err != nil {
		t.Error(err)
	}
	_, err := m.Get(background, id)
	for _, err := range []error{err, m.Remove(background, id), m.Have(background, id)} {
		if err != wire.NotOK {
			t.Errorf("of a removed session: %v", err)
		}
	}
	if err := m.Add(background, nil, []byte("data"), 0); err != wire.IDRange {
		t.Errorf("Add without an id: %v", err)
	}
	mustAdd(t, m, "last", time.Minute)
	for range 2 {
		m.Close()
	}
	if m.Len() != 0 || m.Have(background, []byte("last")) != wire.Disconnected ||
		m.Add(background, id, data, 0) != wire.Disconnected {
		t.Error("still there after Close")
	}
}

// Sessions that expire or are evicted are counted separately.
func TestMemoryCountsWhatItDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory(2)
		defer m.Close()
		is := func(expired, evicted uint64) {
			t.Helper()
			if e, p := m.Dropped(); e != expired || p != evicted {
				t.Errorf("%d have expired and %d were pushed out, want %d and %d", e, p, expired, evicted)
			}
		}
		mustAdd(t, m, "a", time.Second)
		mustAdd(t, m, "b", time.Hour)
		is(0, 0)
		mustAdd(t, m, "c", time.Hour)
		is(0, 1)
		if err := m.Remove(background, []byte("b")); err != nil {
			t.Fatal(err)
		}
		mustAdd(t, m, "a", time.Second)
		time.Sleep(time.Second)
		mustAdd(t, m, "a", time.Second) // replaces a session that has expired
		is(1, 1)
		time.Sleep(time.Second)
		mustAdd(t, m, "d", time.Hour) // over the limit, but one session has expired
		is(2, 1)
		time.Sleep(2 * time.Hour)
		m.Len()
		is(4, 1)
	})
}

// A session is gone for every operation at the very moment at which it expires.
func TestMemoryExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory(0)
		defer m.Close()
		id := []byte("id")
		mustAdd(t, m, "id", time.Second)
		mustAdd(t, m, "week", wire.MaxTimeout)
		time.Sleep(time.Second - 1)
		if !has(m, "id") || m.Len() != 2 {
			t.Fatal("gone too early")
		}
		time.Sleep(time.Nanosecond)
		_, err := m.Get(background, id)
		for _, err := range []error{err, m.Remove(background, id), m.Have(background, id)} {
			if err != wire.NotOK {
				t.Errorf("of an expired session: %v", err)
			}
		}
		if n := m.Len(); n != 1 {
			t.Errorf("%d sessions", n)
		}
		mustAdd(t, m, "id", 0)
		mustAdd(t, m, "id", time.Second) // replaces a session that has expired
		if !has(m, "id") {
			t.Error("the second life is lost")
		}
		time.Sleep(wire.MaxTimeout)
		if n := m.Len(); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

// At the limit the sessions that expire soonest go first, in whatever order they were added. Of sessions that expire
// together, the oldest goes first.
func TestMemoryLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, n = 100, 500
		m := store.NewMemory(limit)
		defer m.Close()
		order := rand.Perm(n)
		for _, k := range order {
			mustAdd(t, m, fmt.Sprint(k), time.Hour+time.Duration(k)*time.Millisecond)
			if m.Len() > limit {
				t.Fatalf("%d sessions", m.Len())
			}
		}
		for k := range n {
			if want := k >= n-limit; has(m, fmt.Sprint(k)) != want {
				t.Errorf("session %d: there should be %v", k, want)
			}
		}
		m.Remove(background, fmt.Append(nil, n-1))
		mustAdd(t, m, "in the gap", time.Second)
		if !has(m, fmt.Sprint(n-limit)) || !has(m, "in the gap") {
			t.Error("a gap was not used")
		}

		ties := store.NewMemory(2)
		defer ties.Close()
		for _, id := range []string{"1", "2", "3"} {
			mustAdd(t, ties, id, time.Minute)
		}
		if has(ties, "1") || !has(ties, "2") || !has(ties, "3") {
			t.Error("of equals, not the oldest went")
		}
	})
}

// The store behaves as a slice that is searched from end to end.
func TestMemoryModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 20
		m := store.NewMemory(limit)
		defer m.Close()
		type session struct {
			id     string
			expiry time.Time
		}
		var model []session // in the order in which they were added
		random := rand.New(rand.NewPCG(1, 2))
		for step := range 20000 {
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			now := time.Now()
			model = slices.DeleteFunc(model, func(s session) bool { return !s.expiry.After(now) })
			id := fmt.Sprint(random.IntN(60))
			at := slices.IndexFunc(model, func(s session) bool { return s.id == id })
			var got, want error
			switch random.IntN(4) {
			case 0, 1:
				timeout := time.Duration(random.IntN(1000)) * time.Millisecond
				got = m.Add(background, []byte(id), []byte(id), timeout)
				if at >= 0 {
					want = wire.MatchingSession
					break
				}
				model = append(model, session{id, now.Add(timeout)})
				if len(model) > limit {
					first := 0
					for i := range model {
						if model[i].expiry.Before(model[first].expiry) {
							first = i
						}
					}
					model = slices.Delete(model, first, first+1)
				}
			case 2:
				got = m.Remove(background, []byte(id))
				if at < 0 {
					want = wire.NotOK
				} else {
					model = slices.Delete(model, at, at+1)
				}
			case 3:
				data, err := m.Get(background, []byte(id))
				got = err
				if at < 0 {
					want = wire.NotOK
				} else if !bytes.Equal(data, []byte(id)) {
					t.Fatalf("step %d: other data", step)
				}
			}
			if got != want {
				t.Fatalf("step %d: %v, want %v", step, got, want)
			}
			model = slices.DeleteFunc(model, func(s session) bool { return !s.expiry.After(now) })
			if m.Len() != len(model) {
				t.Fatalf("step %d: %d sessions, want %d", step, m.Len(), len(model))
			}
		}
	})
}

func TestMemoryConcurrency(t *testing.T) {
	m := store.NewMemory(50)
	defer m.Close()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 2000 {
				id := fmt.Append(nil, (n*7+w)%100)
				switch n % 5 {
				case 0, 1:
					m.Add(background, id, id, time.Duration(n%3)*time.Millisecond)
				case 2:
					m.Remove(background, id)
				case 3:
					m.Len()
				default:
					if data, err := m.Get(background, id); err == nil && !bytes.Equal(data, id) {
						t.Error("other data")
					}
				}
			}
		})
	}
	wg.Wait()
	if n := m.Len(); n > 50 {
		t.Errorf("%d sessions", n)
	}
}

func BenchmarkMemory(b *testing.B) {
	m := store.NewMemory(100000)
	defer m.Close()
	data := make([]byte, 1000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := rand.New(rand.NewPCG(rand.Uint64(), 0))
		var id [32]byte
		for n := 0; pb.Next(); n++ {
			k := r.IntN(200000)
			copy(id[:], fmt.Append(id[:0], k))
			if n%10 == 0 {
				m.Add(background, id[:], data, time.Hour)
			} else {
				m.Get(background, id[:])
			}
		}
	})
}
