package state

import (
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

// never keeps the flusher still, so that a test decides when to flush.
var never = Options{FlushInterval: 24 * time.Hour, FlushBytes: math.MaxInt, HoldBytes: math.MaxInt}

func openAt(t testing.TB, path string, o Options) *Machine {
	t.Helper()
	m, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newMachine(t testing.TB, o Options) *Machine {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "state.db"), o)
}

func encode(h entry.Header, ops ...entry.Op) []byte {
	b := entry.Begin(nil)
	for i := range ops {
		b = entry.AppendOp(b, &ops[i])
	}
	h.Count = len(ops)
	entry.Seal(b, h)
	return b
}

// counter numbers the operations of tests that don't care about identities.
var counter uint64

func identity() entry.Identity {
	counter++
	return entry.Identity{Origin: 1, Counter: counter, Low: counter}
}

func adding(id string, timeout uint32, data string) entry.Op {
	return entry.Op{Kind: entry.Add, Identity: identity(), Timeout: timeout, ID: []byte(id), Data: []byte(data)}
}

func removing(id string) entry.Op {
	return entry.Op{Kind: entry.Remove, Identity: identity(), ID: []byte(id)}
}

// opened are the client sessions that do has opened on machines, by their files.
var opened = map[string]map[uint64]bool{}

func opening(clientSession uint64) entry.Op {
	return entry.Op{Kind: entry.Session, Identity: entry.Identity{Origin: clientSession}}
}

// do applies the next entry. It opens the client sessions that the machine hears of for the first time.
func do(t testing.TB, m *Machine, h entry.Header, ops ...entry.Op) []wire.Status {
	t.Helper()
	known := opened[m.path]
	if known == nil {
		known = map[uint64]bool{}
		opened[m.path] = known
	}
	var all []entry.Op
	for _, op := range ops {
		if !known[op.Origin] {
			known[op.Origin] = true
			all = append(all, opening(op.Origin))
		}
	}
	index, _ := m.Applied()
	st, err := m.Apply(index+1, 1, encode(h, append(all, ops...)...))
	if err != nil {
		t.Fatal(err)
	}
	return st[len(all):]
}

func flush(t testing.TB, m *Machine) {
	t.Helper()
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, m *Machine, id string) string {
	t.Helper()
	data, ok, err := m.Get([]byte(id), 0)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return ""
	}
	return string(data.Bytes)
}

// dump is everything that a machine's later results can depend on, and what reads see.
func dump(t testing.TB, m *Machine) string {
	t.Helper()
	var lines []string
	m.mu.RLock()
	var ids []string
	for _, r := range m.c.index.order {
		ids = append(ids, string(m.c.index.appendID(nil, r)))
	}
	slices.Sort(ids)
	for _, id := range ids {
		s := m.c.index.at(m.c.index.find([]byte(id)))
		lines = append(lines, fmt.Sprintf("%q %d %d", id, s.expiry, s.seq))
	}
	for _, o := range slices.Sorted(maps.Keys(m.c.clientSessions.byID)) {
		or := m.c.clientSessions.byID[o]
		if or.heard+clientSessionLife < m.c.clientSessions.clock {
			continue // forgotten, whether it has been swept away or not
		}
		w := or.window
		for len(w) > 0 && w[len(w)-1] == 0 {
			w = w[:len(w)-1]
		}
		lines = append(lines, fmt.Sprintf("client session %d: %d %d %v", o, or.low, or.heard, w))
	}
	lines = append(lines, fmt.Sprint(m.c.applied, m.c.appliedTerm, m.c.stamp, m.c.seq,
		m.c.clientSessions.clock, len(m.c.index.order)))
	m.mu.RUnlock()
	for _, id := range ids {
		lines = append(lines, get(t, m, id))
	}
	return fmt.Sprintf("%q", lines)
}

// A generator makes log entries at random: adds, removes and repeats from a few client sessions, with time going on.
type generator struct {
	r              *rand.Rand
	stamp          uint64
	clientSessions []entry.Identity
	past           []entry.Op // to repeat
	made           int        // operations, without repeats
}

func newGenerator(seed uint64) *generator {
	g := &generator{r: rand.New(rand.NewPCG(seed, seed)), stamp: 1_000_000}
	for i := range 4 {
		g.clientSessions = append(g.clientSessions, entry.Identity{Origin: uint64(i + 1), Low: 1})
	}
	return g
}

func (g *generator) entry() (entry.Header, []entry.Op) {
	switch n := g.r.IntN(40); {
	case n == 0:
		g.stamp += uint64(g.r.IntN(30 * 60 * 1000)) // a new leader's clock is ahead
	case n == 1:
		g.stamp -= uint64(g.r.IntN(50)) // it is behind
	case n < 18:
		g.stamp += uint64(3000 + g.r.IntN(3000)) // a quiet while
	default:
		g.stamp += uint64(g.r.IntN(20))
	}
	h := entry.Header{Stamp: g.stamp}
	if g.r.IntN(3) > 0 {
		h.Capacity = 60
	}
	var ops []entry.Op
	for range g.r.IntN(8) {
		ops = append(ops, g.op())
	}
	return h, ops
}

func (g *generator) op() entry.Op {
	if len(g.past) > 0 && g.r.IntN(6) == 0 {
		op := g.past[g.r.IntN(len(g.past))]
		if o := g.clientSessions[op.Origin-1]; g.r.IntN(2) == 0 && o.Low <= op.Counter {
			op.Low = o.Low // asked again now, not one that was under way all along
		}
		return op
	}
	// The last client session is heard of rarely enough to be forgotten.
	n := g.r.IntN(len(g.clientSessions) - 1)
	if g.made++; g.made%1500 == 1 {
		n = len(g.clientSessions) - 1
	}
	o := &g.clientSessions[n]
	o.Counter += 1 + uint64(g.r.IntN(2))
	if o.Counter-o.Low > 20 {
		o.Low = o.Counter - uint64(g.r.IntN(20))
	}
	if o.Counter < 3 || g.r.IntN(150) == 0 {
		return opening(o.Origin) // most of the time it is open
	}
	op := entry.Op{Kind: entry.Add, Identity: *o, ID: fmt.Appendf(nil, "session %d", g.r.IntN(120))}
	switch g.r.IntN(12) {
	case 0, 1, 2:
		op.Kind = entry.Remove
	default:
		op.Timeout = []uint32{0, 1, 40, 400, 3000, 600_000}[g.r.IntN(6)]
		op.Data = make([]byte, 1+g.r.IntN(300))
		for i := range op.Data {
			op.Data[i] = byte(g.r.Uint32())
		}
	}
	g.past = append(g.past, op)
	if len(g.past) > 200 {
		g.past = g.past[100:]
	}
	return op
}

// copyFile is what a crash leaves.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// streamTo copies a machine's state file to w.
func streamTo(m *Machine, w io.Writer) (int64, error) {
	size, r, err := m.Stream()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, err := io.Copy(w, r)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes came, %d were announced", n, size)
	}
	return n, err
}

// restore replaces a machine's state by what streamTo gave.
func restore(m *Machine, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	received := m.path + ".received"
	if err := os.WriteFile(received, b, 0o600); err != nil {
		return err
	}
	return m.Install(received)
}

func have(t testing.TB, m *Machine, id string) bool {
	t.Helper()
	there, err := m.Have([]byte(id), 0)
	if err != nil {
		t.Fatal(err)
	}
	return there
}
