package peernet

import (
	"strings"

	"github.com/hashicorp/raft"
)

// A Peer is another node, by its Raft server ID and HOST:PORT. Connections to it are refused by any other node that is at
// that address now. Without an ID it is whichever node answers there.
type Peer struct{ ID, Address string }

// String is ID=HOST:PORT, as in -cluster.
func (p Peer) String() string { return p.ID + "=" + p.Address }

// Raft's network transport knows addresses only, and keeps connections by them. The address that a [Transport] gives it is
// a Peer's String, which [Layer.Dial] parts again.
func target(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(Peer{string(id), string(address)}.String())
}

func parseTarget(t raft.ServerAddress) Peer {
	id, address, _ := strings.Cut(string(t), "=")
	return Peer{id, address}
}
