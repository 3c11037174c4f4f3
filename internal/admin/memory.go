package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/distcache/distcache/raftstore"
)

// RoleMemory is the role of a server that keeps sessions in memory only.
const RoleMemory raftstore.Role = "memory"

// Memory is the [Node] of a server that keeps sessions in memory only and so has no cluster.
type Memory struct {
	Name     string
	Limit    uint64     // of sessions, 0 for none
	Sessions func() int // how many there are
	Version  string     // of the program
	Started  time.Time
}

// Status returns the fields that a server without a cluster has.
func (m Memory) Status() raftstore.Status {
	return raftstore.Status{Node: m.Name, Role: RoleMemory, Sessions: m.Sessions(), Limit: m.Limit,
		Process: raftstore.Process{Version: m.Version, Uptime: int64(time.Since(m.Started).Seconds())}}
}

// Members is refused: there is no cluster.
func (m Memory) Members(context.Context) ([]raftstore.Member, error) { return nil, errMemory }

// Join is refused.
func (m Memory) Join(context.Context, []string, bool) error { return errMemory }

// Leave is refused.
func (m Memory) Leave(context.Context) error { return errMemory }

// RemoveNode is refused.
func (m Memory) RemoveNode(context.Context, string) error { return errMemory }

// Transfer is refused.
func (m Memory) Transfer(context.Context, string) error { return errMemory }

// Grant is refused.
func (m Memory) Grant(string) error { return errMemory }

// Compact is refused.
func (m Memory) Compact(context.Context) (raftstore.Compacted, error) {
	return raftstore.Compacted{}, errMemory
}

var errMemory = &Error{
	Code:    http.StatusConflict,
	Message: "this server keeps sessions in memory only, and belongs to no cluster",
	Hint:    "Start dc_server without -memory for sessions that are kept on disk and replicated.",
}
