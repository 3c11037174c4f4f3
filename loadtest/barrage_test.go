package loadtest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// slow takes a moment for each ADD, so that time goes by in a synctest bubble.
type slow struct{ Store }

func (s slow) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	time.Sleep(10 * time.Millisecond)
	return s.Store.Add(ctx, id, data, timeout)
}

func barrageOf(store Store) BarrageConfig {
	return BarrageConfig{
		Open:     func(int) (Store, error) { return store, nil },
		Sessions: 500, Ops: 20000, DataMin: 1, DataMax: 300,
		Timeout: 30 * time.Second, TimeoutVar: 20 * time.Second,
	}
}

// In the bubble, 20000 operations take more than a minute, while sessions live for 10 to 50 seconds.
func TestBarrageOnRightStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory(0)
		defer m.Close()
		cfg := barrageOf(slow{m})
		cfg.Workers = 3
		var out bytes.Buffer
		cfg.Progress, cfg.Out = 5000, &out
		r, err := RunBarrage(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if r.Ops != cfg.Ops {
			t.Errorf("%d operations, want %d", r.Ops, cfg.Ops)
		}
		for op := range wire.Op(wire.UserOps) {
			if r.Yes[op] == 0 || r.No[op] == 0 {
				t.Errorf("%s was answered %d times one way and %d the other", op, r.Yes[op], r.No[op])
			}
		}
		if lines := strings.Count(out.String(), " operations, "); lines != 4 {
			t.Errorf("%d lines of progress, want 4: %s", lines, &out)
		}
	})
}

func TestBarrageFindsWrongStores(t *testing.T) {
	for name, bad := range map[string]*badStore{
		"lose": {lose: true}, "resurrect": {resurrect: true}, "alter": {alter: true}, "cut": {cut: true},
		"duplicate": {duplicate: true}, "replace": {replace: true}, "deny": {deny: true}, "forget": {forget: true},
		"absent": {absent: true}, "early": {early: true}, "immortal": {immortal: true}, "fail": {fail: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := store.NewMemory(0)
				defer m.Close()
				bad.Store, bad.every = m, 50
				r, err := RunBarrage(t.Context(), barrageOf(slow{bad}))
				var wrong *WrongAnswer
				if !errors.As(err, &wrong) {
					t.Fatalf("nothing found in %d operations: %v", r.Ops, err)
				}
				if wrong.Number == 0 || wrong.ID == "" || wrong.Expected == "" || wrong.Got == "" ||
					wrong.Number != r.Ops+1 {
					t.Errorf("incomplete after %d operations: %+v", r.Ops, wrong)
				}
				t.Log(err)
			})
		})
	}
}

// raising is a store that raises short timeouts.
type raising struct {
	Store
	to time.Duration
}

func (r raising) Add(ctx context.Context, id, data []byte, timeout time.Duration) error {
	return r.Store.Add(ctx, id, data, max(timeout, r.to))
}

// A server that raises timeouts is wrong, unless the barrage was told that it does: then it must.
func TestBarrageKnowsOfRaisedTimeouts(t *testing.T) {
	for _, tt := range []struct{ does, told time.Duration }{{40, 40}, {40, 0}, {0, 40}} {
		synctest.Test(t, func(t *testing.T) {
			m := store.NewMemory(0)
			defer m.Close()
			cfg := barrageOf(slow{raising{m, tt.does * time.Second}})
			cfg.MinTimeout = tt.told * time.Second
			_, err := RunBarrage(t.Context(), cfg)
			var wrong *WrongAnswer
			if errors.As(err, &wrong); (wrong == nil) != (tt.does == tt.told) || wrong == nil && err != nil {
				t.Errorf("raises to %d, told %d: %v", tt.does, tt.told, err)
			}
			if wrong != nil && wrong.Outlived != (tt.does > tt.told) {
				t.Errorf("raises to %d, told %d: outlived is %v", tt.does, tt.told, wrong.Outlived)
			}
		})
	}
}

// A report contains neither a session's data nor its whole id.
func TestReportKeepsSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory(0)
		defer m.Close()
		seen := &witness{badStore: badStore{Store: m, every: 10, alter: true}}
		cfg := barrageOf(seen)
		cfg.DataMin = 100 // too long to be in the report by chance
		_, err := RunBarrage(t.Context(), cfg)
		if err == nil {
			t.Fatal("nothing found")
		}
		report := err.Error()
		for _, secret := range [][]byte{seen.data, seen.id} {
			if strings.Contains(report, string(secret)) || strings.Contains(report, hex.EncodeToString(secret)) {
				t.Error("the report has a secret in it")
			}
		}
	})
}

type witness struct {
	badStore
	id, data []byte
}

func (w *witness) Get(ctx context.Context, id []byte) ([]byte, error) {
	data, err := w.badStore.Get(ctx, id)
	if err == nil {
		w.id, w.data = id, data
	}
	return data, err
}

// openers are the ways to open stores at addresses.
var openers = map[string]func([]wire.Address) func(int) (Store, error){"Servers": Servers, "EachTime": EachTime}

func TestBarrageOverTheWire(t *testing.T) {
	address, _ := serve(t, newMemory(t), "")
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			cfg := barrageOf(nil)
			cfg.Open, cfg.Ops, cfg.Workers, cfg.DataMax = open([]wire.Address{address}), 1000, 2, wire.MaxAddData
			if r, err := RunBarrage(t.Context(), cfg); err != nil || r.Ops != 1000 {
				t.Errorf("after %d operations: %v", r.Ops, err)
			}
		})
	}
}

func TestBarrageWithoutServer(t *testing.T) {
	nobody := []wire.Address{testutil.Address(t, "IP:127.0.0.1:1")}
	for name, open := range openers {
		cfg := barrageOf(nil)
		cfg.Open = open(nobody)
		_, err := RunBarrage(t.Context(), cfg)
		if err == nil || !strings.HasPrefix(err.Error(), "connect to IP:127.0.0.1:1: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server that goes away is not taken for one that answers wrongly.
func TestBarrageLosesServer(t *testing.T) {
	store := &leaving{Store: newMemory(t)}
	address, stop := serve(t, store, "")
	store.stop = stop
	cfg := barrageOf(nil)
	cfg.Open = EachTime([]wire.Address{address})
	_, err := RunBarrage(t.Context(), cfg)
	var wrong *WrongAnswer
	if !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), "no answer to operation ") {
		t.Errorf("got %v", err)
	}
}

// leaving stops its server after some requests.
type leaving struct {
	Store
	n    atomic.Int64
	stop func()
}

func (l *leaving) Have(ctx context.Context, id []byte) error {
	if l.n.Add(1) == 20 {
		go l.stop()
	}
	return l.Store.Have(ctx, id)
}

func TestBarrageEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RunBarrage(ctx, barrageOf(newMemory(t))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestBarrageConfig(t *testing.T) {
	for name, change := range map[string]func(*BarrageConfig){
		"no sessions":  func(c *BarrageConfig) { c.Sessions = 0 },
		"no data":      func(c *BarrageConfig) { c.DataMin = 0 },
		"sizes":        func(c *BarrageConfig) { c.DataMin, c.DataMax = 10, 9 },
		"too large":    func(c *BarrageConfig) { c.DataMax = wire.MaxAddData + 1 },
		"long timeout": func(c *BarrageConfig) { c.Timeout = wire.MaxTimeout },
		"negative":     func(c *BarrageConfig) { c.TimeoutVar = -1 },
	} {
		cfg := barrageOf(newMemory(t))
		change(&cfg)
		if _, err := RunBarrage(t.Context(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
