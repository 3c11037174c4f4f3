package loadtest

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// An asker is a worker with a store. It has one request under way at a time.
type asker struct {
	*stream
	store  Store
	period time.Duration // between its requests; 0: each follows the answer to the last
	due    time.Duration // when the next request is to be made, since the start
}

// startAskers starts workers with the stores that open gives them.
func (b *Bench) startAskers(ctx context.Context, wg *sync.WaitGroup, open func(worker int) (Store, error)) error {
	var workers []*asker
	for i := range b.Workers {
		store, err := open(i)
		if err != nil {
			for _, w := range workers {
				closeStore(w.store)
			}
			return err
		}
		w := &asker{stream: newStream(b, i), store: store}
		if b.Rate > 0 {
			w.period = time.Duration(float64(b.Workers) / b.Rate * float64(time.Second))
			w.due = w.period * time.Duration(i) / time.Duration(b.Workers)
		}
		workers = append(workers, w)
	}
	for _, w := range workers {
		wg.Go(func() { w.run(ctx) })
	}
	return nil
}

func closeStore(s Store) {
	if c, ok := s.(io.Closer); ok {
		_ = c.Close()
	}
}

// run makes requests until ctx is done. It waits for the request that is then under way, so that the next run finds the
// servers at rest.
func (w *asker) run(ctx context.Context) {
	defer closeStore(w.store)
	var wait backoff
	for {
		if w.period > 0 {
			pause(ctx, w.due-w.b.at())
		}
		if ctx.Err() != nil {
			return
		}
		w.pick()
		if w.period > 0 {
			w.asked = w.due
			w.due += w.period
		}
		err := w.ask()
		at := w.b.at()
		switch {
		case ctx.Err() != nil || at >= w.b.Duration:
			return
		case w.take(at, err):
			wait = 0
		default:
			wait.sleep(ctx)
		}
	}
}

// ask makes the request that was picked.
func (w *asker) ask() error {
	ctx, cancel := context.WithTimeout(context.Background(), w.b.RequestTimeout)
	defer cancel()
	data, err := request(ctx, w.store, w.op, w.b.corpus.id(nil, w.session), w.b.corpus.data(w.session), w.b.Timeout)
	if w.op == wire.OpGet {
		return w.checkData(data, err)
	}
	return err
}

// request calls the store's method for an operation, with those of id, data and timeout that the method needs.
func request(ctx context.Context, s Store, op wire.Op, id, data []byte, timeout time.Duration) ([]byte, error) {
	r := store.Do(ctx, s, &store.Request{Op: store.Op(op), ID: id, Data: data, Timeout: timeout})
	return r.Data, r.Err
}
