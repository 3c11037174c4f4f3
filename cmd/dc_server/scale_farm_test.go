package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

const (
	scaleData    = 1024
	scaleFillers = 256            // requests under way at each node while it is filled or emptied
	scaleTimeout = 24 * time.Hour // of what is filled in
)

// A farm is one node or a cluster, and the sessions that it was filled with. They are numbered; what is added later has
// numbers from 1<<40 on.
type farm struct {
	servers  []*procs.Server
	sessions int
	added    atomic.Uint64 // numbers given to what was added
}

func (f *farm) id(n uint64) []byte {
	id := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	return id[:]
}

// scaleText is what data are pieces of.
var scaleText = func() []byte {
	text := make([]byte, 64<<10+scaleData)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text)
	return text
}()

func (f *farm) data(n uint64) []byte {
	from := n * 7919 % (64 << 10)
	return scaleText[from : from+scaleData]
}

// fill adds all sessions, each through one of the nodes.
func (f *farm) fill(ctx context.Context) error {
	return f.each(ctx, f.sessions, func(c *client.Client, n uint64) error {
		err := c.Add(ctx, f.id(n), f.data(n), scaleTimeout)
		for errors.Is(err, wire.Disconnected) { // it may be there, or not
			if err = c.Add(ctx, f.id(n), f.data(n), scaleTimeout); errors.Is(err, wire.MatchingSession) {
				return nil
			}
		}
		return err
	})
}

// keep removes the sessions above a number.
func (f *farm) keep(ctx context.Context, keep int) error {
	gone := uint64(keep)
	err := f.each(ctx, f.sessions-keep, func(c *client.Client, n uint64) error {
		err := c.Remove(ctx, f.id(gone+n))
		for errors.Is(err, wire.Disconnected) {
			if err = c.Remove(ctx, f.id(gone+n)); errors.Is(err, wire.NotOK) {
				return nil
			}
		}
		return err
	})
	f.sessions = keep
	return err
}

// each calls do for every number below a limit, many at a time.
func (f *farm) each(ctx context.Context, limit int, do func(c *client.Client, n uint64) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Uint64
	var wg sync.WaitGroup
	for _, s := range f.servers {
		c, err := client.New(s.Listen.String(), client.WithTimeout(30*time.Second))
		if err != nil {
			return err
		}
		defer c.Close()
		for range scaleFillers {
			wg.Go(func() {
				for n := next.Add(1) - 1; n < uint64(limit) && ctx.Err() == nil; n = next.Add(1) - 1 {
					if err := do(c, n); err != nil {
						stop(fmt.Errorf("session %d of %d, through %s: %w", n, limit, s.Name, err))
					}
				}
			})
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// settle waits until every node has what was filled in and nothing more, in its file.
func (f *farm) settle(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < len(f.servers); {
		st, err := f.servers[i].Status(ctx)
		if err == nil && st.Sessions == f.sessions && st.Flushed >= st.Applied {
			i++
			continue
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has not settled with %d sessions: %+v, %v", f.servers[i].Name, f.sessions, st, err)
		case <-tick.C:
		}
	}
	return nil
}

// usage is what the servers have used that run, all together.
func (f *farm) usage() (sum usage) {
	for _, s := range f.servers {
		if u, err := usageOf(s); err == nil {
			sum.cpu += u.cpu
			sum.faults += u.faults
		}
	}
	return sum
}

// warm reads files of every node, so that the system has them in memory, whatever it has given back meanwhile: what is
// measured then is the node and not what else the machine's memory was needed for.
func (f *farm) warm(pattern string) error {
	for _, s := range f.servers {
		files, err := filepath.Glob(filepath.Join(s.Dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range files {
			if err := readAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func readAll(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(io.Discard, file)
	return err
}
