// Package admin lets an operator manage a running node: HTTP and JSON on a listener of its own, not on the clients'
// port. [Server] is dc_server's side, [Client] is dc_admin's.
//
//	GET  /v1/status                              raftstore.Status
//	GET  /v1/members                             list of raftstore.Member
//	POST /v1/join      {"peers", "discard"}      {}
//	POST /v1/leave     {}                        {}
//	POST /v1/remove    {"name", "force"}         {}
//	POST /v1/transfer  {"name"}                  {}
//	POST /v1/grant     {"name"}                  {}
//	POST /v1/compact   {}                        raftstore.Compacted
//
// A call that fails is answered with an HTTP status of 400 or more and {"error", "hint"}.
//
// Whoever can connect to a unix socket may make all of these calls: its file's mode, 0600, is the authentication. With
// TLS the certificate's role says what its holder may do. There is no authentication on a plain TCP address, so only the
// reading calls are served there.
package admin

import (
	"context"

	"github.com/distcache/distcache/raftstore"
)

// A Node is the node that a Server manages. Any number of goroutines may call it at once; each call ends when its
// context ends. The operator sees an error's text, so it must not contain session data. If the error has a method
// Hint() string, the hint is shown below the text.
type Node interface {
	Status() raftstore.Status
	Members(ctx context.Context) ([]raftstore.Member, error)
	// Join makes this node, which must not have a cluster yet, a member of the peers' cluster. Unless discard is set,
	// a node with sessions of its own refuses.
	Join(ctx context.Context, peers []string, discard bool) error
	// Leave takes this node out of its cluster. The node then stops.
	Leave(ctx context.Context) error
	// RemoveNode takes another node out of the cluster.
	RemoveNode(ctx context.Context, name string) error
	// Transfer hands leadership to the named node, or to any if name is empty.
	Transfer(ctx context.Context, name string) error
	// Grant lets the named node join the cluster, once, within an hour.
	Grant(name string) error
	// Compact makes this node's files as small as what is in them.
	Compact(ctx context.Context) (raftstore.Compacted, error)
}

type joinRequest struct {
	Peers   []string `json:"peers"`
	Discard bool     `json:"discard"`
}

type leaveRequest struct{}

type removeRequest struct {
	Name  string `json:"name"`
	Force bool   `json:"force,omitempty"`
}

type transferRequest struct {
	Name string `json:"name"`
}

type grantRequest struct {
	Name string `json:"name"`
}

type compactRequest struct{}

// An Error is a call that the node could not carry out, as it travels to the client.
type Error struct {
	Message string `json:"error"`
	Hint    string `json:"hint,omitempty"` // what to do about it
	Code    int    `json:"-"`              // the HTTP status
}

func (e *Error) Error() string { return e.Message }
