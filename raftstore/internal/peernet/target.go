package peernet

import (
	"io"
	"strings"

	"github.com/hashicorp/raft"
)

// Raft's network transport knows addresses only. Those that a Transport gives it say who is meant to be there as well:
// NAME=HOST:PORT, as in -cluster.
func target(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(string(id) + "=" + string(address))
}

// Target parts what a Transport has its stream layer dial.
func Target(t raft.ServerAddress) (name, address string) {
	name, address, _ = strings.Cut(string(t), "=")
	return name, address
}

// InstallSnapshot sends a snapshot to another node.
func (t *Transport) InstallSnapshot(id raft.ServerID, address raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, target(id, address), req, resp, data)
}

// TimeoutNow has another node ask for votes at once.
func (t *Transport) TimeoutNow(id raft.ServerID, address raft.ServerAddress, req *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, target(id, address), req, resp)
}
