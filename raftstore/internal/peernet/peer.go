package peernet

import "github.com/distcache/distcache/raftstore/internal/serverid"

// A Peer is another node, by its Raft server ID and HOST:PORT. If another node is at that address now, it refuses the
// connection. A Peer without an ID is whichever node answers there.
type Peer struct {
	ID      serverid.ID
	Address string
}

// String is ID=HOST:PORT.
func (p Peer) String() string { return string(p.ID) + "=" + p.Address }
