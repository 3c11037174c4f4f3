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

// idLen is the length of the ids that loadtest makes: that of a TLS session id.
const idLen = 32

// sessionTimeout is the timeout of sessions, for contestants that have timeouts.
const sessionTimeout = time.Hour

// A kind is a contestant that can be measured.
type kind struct {
	name    string // in flags and tables
	about   string // the description in the report
	program string // the server, to be found in $PATH; "" is dc_server, which is built
	debian  string // the package that has the program
	version string // the flag that prints the program's version
	new     func(dir string) (contestant, error)
}

// kinds are all contestants, in the order of the report.
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

// ours tells whether the contestant is distcache.
func (k kind) ours() bool { return k.program == "" }

// A contestant is a set of servers, with their addresses and directories, and the way to ask them. It does not run
// them.
type contestant interface {
	// flags are the flags of each node's server.
	flags() [][]string
	// ready returns nil when all servers are fit to be measured, or why they are not. It is called until then.
	ready(ctx context.Context) error
	// connect opens the connections that the callers share, in the order of the nodes.
	connect(callers int) ([]client, error)
}

// nodeName is the name of node i, and of the directory for its files.
func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

// A client is a connection to one node of a contestant, which callers share. No call takes much longer than
// requestTimeout.
type client interface {
	// add stores a new session. It returns nil only if the server has said that it is stored.
	add(ctx context.Context, id, data []byte) error
	// get reads a session's data, or returns errMissing.
	get(ctx context.Context, id []byte) ([]byte, error)
	// Close is called when no call is under way any more.
	Close() error
}

// connectNodes opens the connections that the callers share: as many as needed, but at most perNode to each node.
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

// askAll asks each node for a session that does not exist.
func askAll(ctx context.Context, c contestant) error {
	clients, err := c.connect(nodes)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	for i, client := range clients {
		if _, err := client.get(ctx, make([]byte, idLen)); err != errMissing {
			return fmt.Errorf("%s: %w", nodeName(i), err)
		}
	}
	return nil
}

// A caller is the store of one of loadtest's workers. It stays with one client, or goes round all of them, request by
// request.
type caller struct {
	clients []client
	at      int // index of the client for the next request, modulo their number
	step    int // 1: go round the clients
}

// callersOf makes a work's callers, which share clients. Callers that are fewer than nodes go round.
func callersOf(clients []client, callers int) func(int) (loadtest.Store, error) {
	step := 0
	if callers < nodes {
		step = 1
	}
	return func(i int) (loadtest.Store, error) { return &caller{clients, i, step}, nil }
}

// next is the client for the next request.
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

// Errors for answers that are wrong.
var (
	errMissing = errors.New("no session where there must be one")
	errExists  = errors.New("a session where there can be none")
)
