package loadtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// Violations is the error for servers that broke their word to a Ledger.
type Violations struct {
	Total int
	First []string // a description of the first few
}

// maxShown is how many violations are described.
const maxShown = 10

func violations(all []string) error {
	if len(all) == 0 {
		return nil
	}
	return &Violations{Total: len(all), First: all[:min(len(all), maxShown)]}
}

// Error describes the first few violations.
func (v *Violations) Error() string {
	s := fmt.Sprintf("%d wrong answers:\n  %s", v.Total, strings.Join(v.First, "\n  "))
	if v.Total == 1 {
		s = "wrong answer: " + v.First[0]
	}
	if v.Total > len(v.First) {
		s += "\n  and others"
	}
	return s
}

const (
	// verifiers is how many requests of a Verify are under way at once.
	verifiers = 64
	// maxAgain is about how many sessions Verify adds a second time.
	maxAgain = 200
)

// Verify asks one server about every session of the ledger. It may be called when Run has returned. If sessions are not
// as they must be, the error is a *Violations. While the server does not answer, Verify asks again; when ctx is done,
// that is another error.
func (l *Ledger) Verify(ctx context.Context, address wire.Address) error {
	c, err := newClient(address, l.cfg.RequestTimeout)
	if err != nil {
		return err
	}
	defer c.Close()
	l.mu.Lock()
	v := &verification{Ledger: l, client: c, entries: append([]entry(nil), l.entries...)}
	l.mu.Unlock()
	v.again = max(1, len(v.entries)/maxAgain)
	var wg sync.WaitGroup
	for range min(verifiers, len(v.entries)) {
		wg.Go(func() { v.run(ctx) })
	}
	wg.Wait()
	if err := violations(v.found); err != nil {
		return err
	}
	done := v.done.Load()
	switch {
	case int(done) == len(v.entries):
		return nil
	case v.last == nil:
		return fmt.Errorf("only %d of %d sessions were verified at %s: %w", done, len(v.entries), address, ctx.Err())
	}
	return fmt.Errorf("only %d of %d sessions were verified at %s: %w; the last that went wrong: %w",
		done, len(v.entries), address, ctx.Err(), v.last)
}

// A verification is a Verify under way.
type verification struct {
	*Ledger
	client  *client.Client
	entries []entry
	again   int
	next    atomic.Int64
	done    atomic.Int64

	mu    sync.Mutex
	found []string
	last  error // the last request that was not answered
}

func (v *verification) run(ctx context.Context) {
	for ctx.Err() == nil {
		n := int(v.next.Add(1)) - 1
		if n >= len(v.entries) {
			return
		}
		if v.one(ctx, n) {
			v.done.Add(1)
		}
	}
}

// one verifies one session, and tells whether that was possible.
func (v *verification) one(ctx context.Context, n int) bool {
	e := v.entries[n]
	data, err := v.ask(ctx, wire.OpGet, n)
	if fateOf(err) != answered {
		return false
	}
	wrong := v.wrongGet(n, e, data, err)
	if wrong == "" && n%v.again == 0 && e.state == added && v.certain(e, time.Now().Add(v.cfg.RequestTimeout)) {
		if _, err = v.ask(ctx, wire.OpAdd, n); fateOf(err) != answered {
			return false
		}
		wrong = wrongSecondAdd(err)
	}
	if wrong != "" {
		v.mu.Lock()
		v.found = append(v.found, fmt.Sprintf("session %s: %s", shortID(v.corpus.id(nil, uint64(n))), wrong))
		v.mu.Unlock()
	}
	return true
}

// ask makes a request about session n until it is answered or ctx is done.
func (v *verification) ask(ctx context.Context, op wire.Op, n int) ([]byte, error) {
	id, data := v.corpus.id(nil, uint64(n)), v.corpus.data(uint64(n))
	var wait backoff
	for {
		got, err := request(ctx, v.client, op, id, data, v.cfg.Timeout)
		if fateOf(err) == answered {
			return got, err
		}
		v.mu.Lock()
		v.last = err
		v.mu.Unlock()
		if wait.sleep(ctx); ctx.Err() != nil {
			return nil, err
		}
	}
}
