package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distcache/distcache/loadtest"
)

// nodes is how many servers each contestant has.
const nodes = 3

// Time limits.
const (
	requestTimeout = 5 * time.Second  // of a request: longer than any server's own
	readyTimeout   = 30 * time.Second // of servers, to be ready after their start
)

// idLen is the length of an id, that of a TLS session id, which loadtest makes.
const idLen = 32

// sessionTimeout is for how long sessions are to live, where they have a timeout.
const sessionTimeout = time.Hour

// A kind is something that can be measured.
type kind struct {
	name    string // in flags and tables
	about   string // what it is, in the report
	program string // the server's, to be found in $PATH; "" is dc_server, which is built
	debian  string // the package that has the program
	version string // the flag that makes the program say its version
	new     func(dir string) (contestant, error)
}

// kinds are all that there are, in the order of the report.
var kinds = []kind{
	{name: "bolt", about: "three dc_server, as they come", version: "-version",
		new: func(dir string) (contestant, error) { return newDistcache(dir, "bolt") }},
	{name: "wal", about: "three dc_server -raft-log wal", version: "-version",
		new: func(dir string) (contestant, error) { return newDistcache(dir, "wal") }},
	{name: "etcd", about: "three etcd, as they come; keys without leases",
		program: "etcd", debian: "etcd-server", version: "--version", new: newEtcd},
	{name: "redis", about: "redis-server with appendfsync always and two replicas that the master does not wait for; " +
		"reads from the master", program: "redis-server", debian: "redis-server", version: "--version", new: newRedis},
}

// ours tells whether it is distcache.
func (k kind) ours() bool { return k.program == "" }

// A contestant is a set of servers that is started once, and how to ask them. Its addresses are chosen and its
// directories named; all else is up to who holds it.
type contestant interface {
	// commands are the servers' command lines, without the program.
	commands() []command
	// ready returns nil when all servers are fit to be measured, or why they are not yet. It is called until then.
	ready(ctx context.Context) error
	// connect opens the connections that so many callers share. Clients in a row are of one node after another.
	connect(callers int) ([]client, error)
}

// A command starts one server.
type command struct {
	name string   // of the node
	args []string // without the program
}

// A client is a connection to one node of a contestant, which callers share. No call takes much longer than
// requestTimeout.
type client interface {
	// add stores a new session; nil means that the server has said so.
	add(ctx context.Context, id, data []byte) error
	// get reads a session's data; errMissing when there is none.
	get(ctx context.Context, id []byte) ([]byte, error)
	// Close is for when no call is under way any more.
	Close() error
}

// connectNodes opens the connections that so many callers share, with perNode of them to each node at most.
func connectNodes(callers, perNode int, connect func(node int) (client, error)) ([]client, error) {
	var list []client
	for i := range nodes * min(perNode, (callers+nodes-1)/nodes) {
		c, err := connect(i % nodes)
		if err != nil {
			closeAll(list)
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func closeAll(list []client) {
	for _, c := range list {
		_ = c.Close()
	}
}

// askAll asks each node for a session that is not there.
func askAll(ctx context.Context, c contestant) error {
	clients, err := c.connect(nodes)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	for i, client := range clients {
		if _, err := client.get(ctx, make([]byte, idLen)); err != errMissing {
			return fmt.Errorf("n%d: %w", i+1, err)
		}
	}
	return nil
}

// A caller is a store for loadtest. It stays with one client, or goes round all of them, request by request.
type caller struct {
	clients []client
	at      int // the client in use, modulo their number
	step    int // 1: round the clients
}

// callersOf makes so many callers that share clients.
func callersOf(clients []client, callers int) func(int) (loadtest.Store, error) {
	step := 0
	if callers < nodes {
		step = 1
	}
	return func(i int) (loadtest.Store, error) { return &caller{clients, i, step}, nil }
}

// next is the client to ask.
func (c *caller) next() client {
	now := c.clients[c.at%len(c.clients)]
	c.at += c.step
	return now
}

// Add implements loadtest.Store.
func (c *caller) Add(ctx context.Context, id, data []byte, _ time.Duration) error {
	return c.next().add(ctx, id, data)
}

// Get implements loadtest.Store.
func (c *caller) Get(ctx context.Context, id []byte) ([]byte, error) {
	return c.next().get(ctx, id)
}

// Remove is not measured.
func (c *caller) Remove(context.Context, []byte) error { return errors.ErrUnsupported }

// Have is not measured.
func (c *caller) Have(context.Context, []byte) error { return errors.ErrUnsupported }

// What answers can be that are no good.
var (
	errMissing = errors.New("no session where there must be one")
	errExists  = errors.New("a session where there can be none")
)
