package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// Run writes until ctx is done, and then returns nil. After a wrong answer it returns at once, with a *Violations. A
// missing answer is no error. Run may be called again, and goes on with the same ledger.
func (l *Ledger) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var clients []*client.Client
	for _, a := range l.cfg.Addresses {
		c, err := newClient(a, l.cfg.RequestTimeout)
		if err != nil {
			return err
		}
		defer c.Close()
		clients = append(clients, c)
	}
	l.gap.start()
	var wg sync.WaitGroup
	for i := range l.cfg.Writers {
		w := &writer{Ledger: l, stop: cancel, clients: clients, at: i,
			rng: rand.New(rand.NewPCG(l.cfg.Seed, uint64(i)))}
		wg.Go(func() { w.run(ctx) })
	}
	<-ctx.Done()
	l.gap.end()
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return violations(l.wrong)
}

// A writer writes sessions that nobody else uses while it runs.
type writer struct {
	*Ledger
	stop    context.CancelFunc
	clients []*client.Client
	at      int // index of the client in use, modulo their number
	rng     *rand.Rand
	there   []int // entries that are in state added
	gone    []int // some of the entries that are in state removed
	wait    backoff
}

// maxGone is how many removed sessions a writer remembers, to ask for them.
const maxGone = 256

func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		switch r := w.rng.IntN(100); {
		case len(w.there) == 0 || r >= shareRemove+shareAgain+shareGet:
			w.add(ctx)
		case r < shareRemove:
			w.remove(ctx)
		case r < shareRemove+shareAgain:
			w.addAgain(ctx)
		default:
			w.get(ctx)
		}
	}
}

func (w *writer) add(ctx context.Context) {
	n := w.newEntry()
	sent := time.Now()
	_, err := w.call(ctx, wire.OpAdd, n)
	e := entry{added: sent.UnixMilli()}
	switch fateOf(err) {
	case unknown:
		e.state = maybeAdded
		w.set(n, e, countUnknown(err))
	case neverSent:
		w.set(n, e, countUnknown(err))
	case answered:
		if err != nil {
			w.violation(n, "the first ADD of a new session is answered %s, not OK", answerName(err))
			return
		}
		e.state = added
		w.set(n, e, func(c *Counts) { c.Added++ })
		w.there = append(w.there, n)
	}
}

func (w *writer) remove(ctx context.Context) {
	i := w.rng.IntN(len(w.there))
	n := w.there[i]
	w.there[i] = w.there[len(w.there)-1]
	w.there = w.there[:len(w.there)-1]
	e := w.entry(n)
	_, err := w.call(ctx, wire.OpRemove, n)
	switch fateOf(err) {
	case unknown:
		e.state = maybeGone
		w.set(n, e, countUnknown(err))
	case neverSent:
		w.set(n, e, countUnknown(err))
		w.there = append(w.there, n)
	case answered:
		switch {
		case err == nil:
		case !errors.Is(err, wire.NotOK):
			w.violation(n, "REMOVE is answered %s", answerName(err))
		case w.certain(e, time.Now()):
			w.violation(n, "an acknowledged session is gone: REMOVE is answered %s", answerName(err))
		}
		e.state = removed
		w.set(n, e, func(c *Counts) { c.Removed++ })
		if len(w.gone) < maxGone {
			w.gone = append(w.gone, n)
		} else {
			w.gone[w.rng.IntN(maxGone)] = n
		}
	}
}

// addAgain adds a session that is there, which must fail.
func (w *writer) addAgain(ctx context.Context) {
	n := w.there[w.rng.IntN(len(w.there))]
	if !w.certain(w.entry(n), time.Now().Add(w.cfg.RequestTimeout)) {
		return
	}
	_, err := w.call(ctx, wire.OpAdd, n)
	wrong := wrongSecondAdd(err)
	switch {
	case fateOf(err) != answered:
		w.count(countUnknown(err))
	case wrong != "":
		w.violation(n, "%s", wrong)
	default:
		w.count(func(c *Counts) { c.Checked++ })
	}
}

// wrongSecondAdd says what is wrong with the answer to an ADD of a session that is there, if anything.
func wrongSecondAdd(err error) string {
	if errors.Is(err, wire.MatchingSession) {
		return ""
	}
	return "a second ADD of an acknowledged session is answered " + answerName(err) + ", not MATCHING_SESSION"
}

// get asks for a session that is there, or for one that was removed.
func (w *writer) get(ctx context.Context) {
	if w.cfg.StaleReads {
		return
	}
	from := w.there
	if len(w.gone) > 0 && w.rng.IntN(3) == 0 {
		from = w.gone
	}
	n := from[w.rng.IntN(len(from))]
	data, err := w.call(ctx, wire.OpGet, n)
	if fateOf(err) != answered {
		return // a GET changes nothing, so its fate does not matter
	}
	if wrong := w.wrongGet(n, w.entry(n), data, err); wrong != "" {
		w.violation(n, "%s", wrong)
		return
	}
	w.count(func(c *Counts) { c.Checked++ })
}

// wrongGet says what is wrong with the answer to a GET, if anything.
func (l *Ledger) wrongGet(n int, e entry, data []byte, err error) string {
	there := err == nil
	switch {
	case !there && !errors.Is(err, wire.NotOK):
		return "GET is answered " + answerName(err)
	case !there && e.state == added && l.certain(e, time.Now()):
		return "an acknowledged session is gone"
	case there && e.state == removed:
		return "a session whose REMOVE was acknowledged is there"
	case there && e.state == added && l.expired(e, time.Now()):
		return "a session is there after it has expired"
	case there && e.state == unsent:
		return "a session is there that was never added"
	case there:
		if d := differ(data, l.corpus.data(uint64(n))); d != "" {
			return "a session has other data than was added: " + d
		}
	}
	return ""
}

// call makes a request about session n to the current server. If there is no answer, the next request goes to the next
// server.
func (w *writer) call(ctx context.Context, op wire.Op, n int) ([]byte, error) {
	id, data := w.corpus.id(nil, uint64(n)), w.corpus.data(uint64(n))
	data, err := request(ctx, w.clients[w.at%len(w.clients)], op, id, data, w.cfg.Timeout)
	if fateOf(err) == answered {
		w.gap.good(time.Since(w.gap.origin))
		w.wait = 0
		return data, err
	}
	w.at++
	w.wait.sleep(ctx)
	return data, err
}

func (l *Ledger) count(count func(*Counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count(&l.counts)
}

func countUnknown(err error) func(*Counts) {
	return func(c *Counts) {
		if fateOf(err) == neverSent {
			c.NotSent++
			return
		}
		c.Unknown++
		if errors.Is(err, wire.Disconnected) {
			c.Disconnected++
		}
	}
}

// violation records a wrong answer and ends the run.
func (w *writer) violation(n int, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf("session %s, at %s: ", shortID(w.corpus.id(nil, uint64(n))),
		w.cfg.Addresses[w.at%len(w.clients)])+fmt.Sprintf(format, args...))
	w.stop()
}

// answerName is the name of an answer.
func answerName(err error) string {
	if err == nil {
		return wire.OK.Name()
	}
	return kind(err)
}
