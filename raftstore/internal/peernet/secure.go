package peernet

import (
	"context"
	"net"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// Security authenticates nodes to each other and encrypts what they say. Every connection of the peer port begins with
// a handshake; all that is said after it is said by the node whose name the handshake has proved.
type Security interface {
	// Server makes the handshake on an accepted connection. name is that of the node at the other end. An error is a
	// sentence for the log.
	Server(ctx context.Context, c net.Conn) (secured net.Conn, name string, err error)
	// Client makes the handshake on a connection to the node with a name, or to any node of the cluster if the name is
	// empty.
	Client(ctx context.Context, c net.Conn, want string) (secured net.Conn, name string, err error)
}

// plain is no security: a name is not proved.
type plain struct{}

func (plain) Server(_ context.Context, c net.Conn) (net.Conn, string, error) { return c, "", nil }

func (plain) Client(_ context.Context, c net.Conn, _ string) (net.Conn, string, error) {
	return c, "", nil
}

// speaksFor tells whether a connection may speak for a server, when its handshake has proved a name.
func speaksFor(name string, id serverid.ID) bool { return name == "" || id.Name() == name }
