// Demo shows on one machine what distcache promises. It runs three nodes, stores a session through one node and reads
// it through another, kills the leader under load, then kills all nodes, and finds every acknowledged session again. It
// uses the programs in its own directory, loopback ports, and a temporary directory that it removes in the end.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/loadtest"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// limit is the longest the demo may take.
const limit = 2 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	err := run(ctx, os.Stdout)
	cancel()
	stop()
	if err != nil {
		fmt.Println("\nFAILED:", err)
		os.Exit(1)
	}
	fmt.Println("\nPASSED: nothing that was acknowledged was lost, changed or undone.")
}

func run(ctx context.Context, out io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "distcache-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	nodes, err := procs.NewCluster(procs.Config{
		Program: []string{filepath.Join(filepath.Dir(self), "dc_server")},
		Dir:     dir,
	}, 3)
	if err != nil {
		return err
	}
	defer func() {
		for _, n := range nodes {
			n.Kill()
		}
	}()
	d := &demo{ctx: ctx, out: out, began: time.Now(), nodes: nodes}
	return d.run()
}

type demo struct {
	ctx   context.Context
	out   io.Writer
	began time.Time
	nodes []*procs.Server
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%5.1fs  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) run() error {
	leader, err := d.start()
	if err != nil {
		return err
	}
	if err := d.oneSession(); err != nil {
		return err
	}
	ledger, err := d.failover(leader)
	if err != nil {
		return err
	}
	if err := d.verify(ledger); err != nil {
		return err
	}
	return d.restartAll(ledger)
}

func (d *demo) start() (*procs.Server, error) {
	for _, n := range d.nodes {
		if err := n.Start(); err != nil {
			return nil, err
		}
		d.say("started %s: clients at %s, other nodes at %s", n.Name, n.Listen, n.Peer)
	}
	leader, err := d.leader()
	if err != nil {
		return nil, err
	}
	d.say("%s leads", leader.Name)
	return leader, nil
}

func (d *demo) leader() (*procs.Server, error) {
	l, err := procs.Leader(d.ctx, d.nodes)
	if err != nil {
		for _, n := range d.nodes {
			err = fmt.Errorf("%w\n%s says:\n%s", err, n.Name, n.Log())
		}
	}
	return l, err
}

// oneSession stores a session through the first node and reads it through the others.
func (d *demo) oneSession() error {
	id, data := []byte("a session's id, 32 bytes of it.."), []byte("what the TLS server wants back")
	for i, n := range d.nodes {
		c, err := client.Dial(n.Listen.String())
		if err != nil {
			return err
		}
		defer c.Close()
		if i == 0 {
			if err := c.Add(d.ctx, id, data, time.Hour); err != nil {
				return fmt.Errorf("add through %s: %w", n.Name, err)
			}
			d.say("stored a session through %s", n.Name)
			continue
		}
		got, err := c.Get(d.ctx, id)
		if err != nil || string(got) != string(data) {
			return fmt.Errorf("get through %s: %d bytes, %v", n.Name, len(got), err)
		}
		d.say("read it through %s", n.Name)
	}
	return nil
}

// failover kills the leader while a load runs, and checks that the load goes on.
func (d *demo) failover(leader *procs.Server) (*loadtest.Ledger, error) {
	var addresses []wire.Address
	for _, n := range d.nodes {
		addresses = append(addresses, n.Listen)
	}
	ledger, err := loadtest.NewLedger(loadtest.LedgerConfig{Addresses: addresses})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(d.ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- ledger.Run(ctx) }()

	d.say("12 clients add, read and remove sessions through all three nodes")
	if err := d.progress(ledger, 3000); err != nil {
		return nil, err
	}
	ledger.ResetGap()
	leader.Kill()
	d.say("kill -9 %s, the leader", leader.Name)
	next, err := d.leader()
	if err != nil {
		return nil, err
	}
	if err := d.progress(ledger, ledger.Counts().Added+1000); err != nil {
		return nil, err
	}
	d.say("%s leads; %d ms passed without an answer", next.Name, ledger.LongestGap().Milliseconds())
	if err := leader.Start(); err != nil {
		return nil, err
	}
	d.say("started %s again, the load going on", leader.Name)
	if err := d.progress(ledger, ledger.Counts().Added+1000); err != nil {
		return nil, err
	}
	stop()
	if err := <-done; err != nil {
		return nil, err
	}
	c := ledger.Counts()
	d.say("load ended: %d sessions acknowledged, %d removals; the fate of %d requests is unknown",
		c.Added, c.Removed, c.Unknown)
	return ledger, nil
}

// progress waits until that many sessions have been acknowledged.
func (d *demo) progress(ledger *loadtest.Ledger, added uint64) error {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for ledger.Counts().Added < added {
		select {
		case <-d.ctx.Done():
			return fmt.Errorf("the load stands still at %d sessions: %w", ledger.Counts().Added, d.ctx.Err())
		case <-t.C:
		}
	}
	return nil
}

// verify asks every node about every session.
func (d *demo) verify(ledger *loadtest.Ledger) error {
	for _, n := range d.nodes {
		if err := ledger.Verify(d.ctx, n.Listen); err != nil {
			return fmt.Errorf("through %s: %w", n.Name, err)
		}
		d.say("through %s, every session is as it was acknowledged", n.Name)
	}
	return nil
}

func (d *demo) restartAll(ledger *loadtest.Ledger) error {
	for _, n := range d.nodes {
		n.Kill()
	}
	d.say("kill -9 of all three")
	for _, n := range d.nodes {
		if err := n.Start(); err != nil {
			return err
		}
	}
	leader, err := d.leader()
	if err != nil {
		return err
	}
	d.say("started them again; %s leads", leader.Name)
	return d.verify(ledger)
}
