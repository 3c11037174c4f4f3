package serve

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Answers go out in the order of the requests, whatever ends first. Those with one key are carried out one after the
// other.
func TestOrdered(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{})
		p := i.dial(t)
		p.send("say hello", "do a", "do b", "say c", "hush d", "do a", "say e")
		p.want("hello")
		jobs := i.next(3)
		jobs["d"].end("not said")
		jobs["b"].end("b done")
		other := i.dial(t)
		other.send("say it")
		other.want("it") // another connection is not held up
		if len(i.begun) > 0 {
			t.Error("two requests with one key are under way")
		}
		jobs["a"].end("a done")
		p.want("a done", "b done", "c")
		i.next(1)["a"].end("a again")
		p.want("a again", "e")
	})
}

// A long pipeline, whose requests end in any order.
func TestPipeline(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{RequestTimeout: patience})
		p := i.dial(t)
		const n = 5000
		go func() {
			var all strings.Builder
			for k := range n {
				fmt.Fprintf(&all, "%s %d\n", []string{"do", "say", "hush"}[k%3], k)
			}
			all.WriteString("quit\n")
			p.Write([]byte(all.String()))
		}()
		go func() {
			var waiting []*job
			end := func() {
				k := rand.N(len(waiting))
				j := waiting[k]
				waiting[k] = waiting[len(waiting)-1]
				waiting = waiting[:len(waiting)-1]
				j.end(string(j.key))
			}
			for range n - n/3 {
				for len(waiting) > 0 && (len(i.begun) == 0 || rand.N(3) == 0) {
					end()
				}
				waiting = append(waiting, <-i.begun)
			}
			for len(waiting) > 0 {
				end()
			}
		}()
		r := bufio.NewReader(p)
		for k := range n {
			if k%3 == 2 {
				continue
			}
			if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintln(k) {
				t.Fatalf("answer %d is %q, %v", k, line, err)
			}
		}
		p.wantClosed()
	})
}

// Drain waits for the answers to all requests before.
func TestDrain(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{})
		p := i.dial(t)
		p.send("do a", "do b", "drain", "do c", "say d")
		jobs := i.next(2)
		jobs["b"].end("b")
		time.Sleep(time.Millisecond)
		if len(i.begun) > 0 {
			t.Error("a request that comes later has begun")
		}
		jobs["a"].end("a")
		p.want("a", "b", "drained")
		i.next(1)["c"].end("c")
		p.want("c", "d")
	})
}

// A request whose time is up is answered as failed, in its place; what comes of it later is dropped.
func TestOverdue(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{RequestTimeout: 50 * time.Millisecond})
		p := i.dial(t)
		p.send("do a", "do b", "do a", "say c")
		jobs := i.next(2)
		jobs["b"].end("b")
		p.want("failed", "b", "failed", "c")
		jobs["a"].end("a")
		eventually(t, "nothing is under way", func() bool { return i.Stats().InFlight == 0 })
		if len(i.begun) > 0 {
			t.Error("a request was begun that had been answered")
		}
		p.send("say d")
		p.want("d")
	})
}

// Shutdown answers all that has arrived, in order, and closes the connection.
func TestShutdownInOrder(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{})
		p := i.dial(t)
		p.send("do a", "do b", "say c")
		jobs := i.next(2)
		done := make(chan error)
		go func() { done <- i.Shutdown(context.Background()) }()
		jobs["b"].end("b")
		select {
		case err := <-done:
			t.Fatalf("Shutdown has returned: %v", err)
		case <-time.After(2 * lastReads):
		}
		jobs["a"].end("a")
		p.want("a", "b", "c")
		p.wantClosed()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A connection that breaks gives back what its answers took that had to wait.
func TestBrokenInOrder(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{})
		p := i.dial(t)
		p.send("do a", "do b", "say c")
		jobs := i.next(2)
		jobs["b"].end("b")
		eventually(t, "answers wait", func() bool { return i.Stats().Untaken == 4 })
		i.abort()
		if n := i.Stats().Untaken; n != 0 {
			t.Errorf("%d bytes wait", n)
		}
		jobs["a"].end("a")
		p.wantClosed()
		eventually(t, "the connection is gone", func() bool { s := i.Stats(); return s.Connections == 0 && s.InFlight == 0 })
	})
}

// Shutdown answers what has arrived, also when that is on many connections at once.
func TestShutdownAnswersMany(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{})
		all := make([]*peer, 1000)
		for n := range all {
			all[n] = i.dial(t)
		}
		eventually(t, "all are accepted", func() bool { return i.Stats().Connections == int64(len(all)) })
		for _, p := range all {
			p.send("say x")
		}
		if err := i.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		for _, p := range all {
			p.want("x")
		}
	})
}
