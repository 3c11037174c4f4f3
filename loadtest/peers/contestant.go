package main

import (
	"context"
	"errors"
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
	{name: "etcd", about: "three etcd, as they come; keys without leases", program: "etcd", debian: "etcd-server", version: "--version",
		new: newEtcd},
	{name: "redis", about: "redis-server with appendfsync always and two replicas that the master does not wait for; reads from the master",
		program: "redis-server", debian: "redis-server", version: "--version", new: newRedis},
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
	// connect makes a store for so many callers.
	connect(callers int) (store, error)
}

// A command starts one server.
type command struct {
	name string   // of the node
	args []string // without the program
}

// A store is a contestant's servers, as callers see them. Callers call it at the same time. Requests go by way of a
// number from 0 on: of nodes numbers in a row, each leads to another node, and the same number leads to the same
// connection. No call takes much longer than requestTimeout.
type store interface {
	// add stores a new session; nil means that the server has said so.
	add(ctx context.Context, way int, id, data []byte) error
	// get reads a session's data; errMissing when there is none.
	get(ctx context.Context, way int, id []byte) ([]byte, error)
	// close is for when no call is under way any more.
	close()
}

// ways is how many connections there are for so many callers, with at most so many to each node.
func ways(callers, mostPerNode int) int {
	return nodes * min(mostPerNode, (callers+nodes-1)/nodes)
}

// A caller is one of a work's, for loadtest. It goes one way, or round the nodes, request by request.
type caller struct {
	store store
	way   int
	step  int // 1: round the nodes
}

// callersOf makes callers of a store, so many.
func callersOf(s store, callers int) func(int) (loadtest.Store, error) {
	step := 0
	if callers < nodes {
		step = 1
	}
	return func(i int) (loadtest.Store, error) { return &caller{s, i - step, step}, nil }
}

// Add implements loadtest.Store.
func (c *caller) Add(ctx context.Context, id, data []byte, _ time.Duration) error {
	c.way += c.step
	return c.store.add(ctx, c.way, id, data)
}

// Get implements loadtest.Store.
func (c *caller) Get(ctx context.Context, id []byte) ([]byte, error) {
	c.way += c.step
	return c.store.get(ctx, c.way, id)
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
