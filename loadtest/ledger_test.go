package loadtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

func newLedger(t *testing.T, addresses ...wire.Address) *Ledger {
	t.Helper()
	l, err := NewLedger(LedgerConfig{Addresses: addresses, Writers: 4, RequestTimeout: testutil.Patience})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// runLedger runs a ledger until done is true, or an answer is wrong.
func runLedger(t *testing.T, l *Ledger, done func(Counts) bool) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*testutil.Patience)
	defer cancel()
	out := make(chan error, 1)
	go func() { out <- l.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-out:
			return err
		case <-tick.C:
			if done(l.Counts()) {
				cancel()
			}
		}
	}
}

func enough(n uint64) func(Counts) bool {
	return func(c Counts) bool { return c.Added >= n && c.Removed >= n/10 && c.Checked >= n/10 }
}

func TestLedgerOnRightServers(t *testing.T) {
	m := newMemory(t)
	a, _ := serve(t, m, "")
	b, _ := serve(t, m, "")
	l := newLedger(t, a, b)
	for round := range uint64(2) {
		if err := runLedger(t, l, enough(500*(round+1))); err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []wire.Address{a, b} {
		if err := l.Verify(t.Context(), address); err != nil {
			t.Error(err)
		}
	}
	// The end of Run interrupts some requests.
	if c := l.Counts(); c.Unknown > 8 || c.NotSent > 8 || l.LongestGap() <= 0 {
		t.Errorf("%+v, gap %v", c, l.LongestGap())
	}
}

func TestLedgerCatchesWrongServers(t *testing.T) {
	for name, bad := range map[string]*badStore{
		"lose": {lose: true}, "resurrect": {resurrect: true}, "alter": {alter: true}, "cut": {cut: true},
		"duplicate": {duplicate: true}, "deny": {deny: true}, "forget": {forget: true},
	} {
		t.Run(name, func(t *testing.T) {
			bad.Store, bad.every = newMemory(t), 20
			a, _ := serve(t, bad, "")
			l := newLedger(t, a)
			err := runLedger(t, l, func(c Counts) bool { return c.Added > 20000 })
			var wrong *Violations
			if !errors.As(err, &wrong) {
				t.Fatalf("not caught: %v, %+v", err, l.Counts())
			}
			t.Log(err)
		})
	}
}

// Verify finds what goes wrong after Run. Where either answer may be right, it finds no error.
func TestVerify(t *testing.T) {
	m := newMemory(t)
	bad := &badStore{Store: m, every: 10, fail: true}
	a, _ := serve(t, bad, "")
	l := newLedger(t, a)
	if err := runLedger(t, l, func(c Counts) bool { return enough(300)(c) && c.Disconnected > 20 }); err != nil {
		t.Fatal(err)
	}
	a, _ = serve(t, m, "")
	if err := l.Verify(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	in := func(s state) (id []byte, n uint64) {
		for n, e := range l.entries {
			if e.state == s {
				return l.corpus.id(nil, uint64(n)), uint64(n)
			}
		}
		t.Fatalf("there is no session in state %d", s)
		return nil, 0
	}
	there, n := in(added)
	gone, _ := in(removed)
	perhaps, _ := in(maybeAdded)
	perhapsGone, perhapsN := in(maybeGone)
	data := l.corpus.data(n)
	put := func(id, data []byte) {
		_ = m.Remove(ctx, id)
		if err := m.Add(ctx, id, data, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		do     func()
		undo   func()
		reason string
	}{
		{"lost", func() { _ = m.Remove(ctx, there) }, func() { put(there, data) }, "an acknowledged session is gone"},
		{"changed", func() { put(there, data[1:]) }, func() { put(there, data) }, "other data"},
		{"undone", func() { put(gone, data) }, func() { _ = m.Remove(ctx, gone) }, "REMOVE was acknowledged is there"},
		{"garbled", func() { put(perhaps, data) }, func() { _ = m.Remove(ctx, perhaps) }, "other data"},
		{"perhaps gone", func() { _ = m.Remove(ctx, perhapsGone) }, func() {}, ""},
		{"perhaps there", func() { put(perhapsGone, l.corpus.data(perhapsN)) }, func() {}, ""},
		{"right again", func() {}, func() {}, ""},
	} {
		tt.do()
		err := l.Verify(ctx, a)
		var wrong *Violations
		switch {
		case tt.reason == "" && err != nil, tt.reason != "" && (!errors.As(err, &wrong) || wrong.Total != 1):
			t.Errorf("%s: %v", tt.name, err)
		case tt.reason != "" && !strings.Contains(err.Error(), tt.reason):
			t.Errorf("%s: %v does not say %q", tt.name, err, tt.reason)
		}
		tt.undo()
	}
}

// Servers die and come back. Their store stays, so nothing that they acknowledged is lost.
func TestLedgerThroughDeaths(t *testing.T) {
	m := newMemory(t)
	a, stopA := serve(t, m, "")
	b, stopB := serve(t, m, "")
	l := newLedger(t, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := make(chan error, 1)
	go func() { out <- l.Run(ctx) }()
	more := func() {
		n := l.Counts().Added
		testutil.Eventually(t, "more sessions", func() bool { return l.Counts().Added > n+100 })
	}
	more()
	stopA()
	more()
	stopB()
	failed := l.Counts().NotSent
	testutil.Eventually(t, "failures", func() bool { return l.Counts().NotSent > failed+10 })
	serve(t, m, strings.TrimPrefix(a.String(), "IP:"))
	serve(t, m, strings.TrimPrefix(b.String(), "IP:"))
	more()
	cancel()
	if err := <-out; err != nil {
		t.Fatal(err)
	}
	for _, address := range []wire.Address{a, b} {
		if err := l.Verify(t.Context(), address); err != nil {
			t.Error(err)
		}
	}
}

func TestVerifyWithoutServer(t *testing.T) {
	m := newMemory(t)
	a, stop := serve(t, m, "")
	l := newLedger(t, a)
	if err := runLedger(t, l, enough(20)); err != nil {
		t.Fatal(err)
	}
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := l.Verify(ctx, a)
	var wrong *Violations
	if err == nil || errors.As(err, &wrong) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a server: %v", err)
	}
}

func TestExpiryInTheLedger(t *testing.T) {
	l, err := NewLedger(LedgerConfig{
		Addresses: make([]wire.Address, 1), Timeout: 10 * time.Second, RequestTimeout: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ago := func(d time.Duration) entry { return entry{state: added, added: time.Now().Add(-d).UnixMilli()} }
	data := l.corpus.data(0)
	for _, tt := range []struct {
		age   time.Duration
		there bool
		wrong bool
	}{
		{time.Second, true, false},
		{time.Second, false, true},
		{9500 * time.Millisecond, true, false},
		{9500 * time.Millisecond, false, false},
		{time.Minute, false, false},
		{time.Minute, true, true},
	} {
		var err error = wire.NotOK
		if tt.there {
			err = nil
		}
		if wrong := l.wrongGet(0, ago(tt.age), data, err); (wrong != "") != tt.wrong {
			t.Errorf("%v after its ADD, there: %v: %q", tt.age, tt.there, wrong)
		}
	}
}

func TestNewLedger(t *testing.T) {
	for name, cfg := range map[string]LedgerConfig{
		"no address": {},
		"sizes":      {Addresses: make([]wire.Address, 1), DataMin: 10, DataMax: 5},
		"timeout":    {Addresses: make([]wire.Address, 1), Timeout: wire.MaxTimeout + 1},
		"writers":    {Addresses: make([]wire.Address, 1), Writers: -1},
	} {
		if _, err := NewLedger(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

var (
	_ Store = (*store.Memory)(nil)
	_ Store = (*oneShot)(nil)
)
