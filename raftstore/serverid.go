package raftstore

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/mutant"
)

// A server ID is NAME/INCARNATION, such as n1/3f9c0a51. It stands for one life of a disk: a node that starts with an empty
// directory is another server under the same name, since it remembers neither its votes nor what it acknowledged (Raft
// thesis, section 3.8). Votes, configurations and greetings have IDs; people see names. A cluster has one
// ID of a name at a time.
func serverID(name, incarnation string) raft.ServerID {
	return raft.ServerID(name + "/" + incarnation)
}

// nameOf is the node's name in a server ID.
func nameOf(id raft.ServerID) string {
	name, _, _ := strings.Cut(string(id), "/")
	return name
}

// validID tells whether an ID can be a server's.
func validID(id string) bool {
	name, incarnation, ok := strings.Cut(id, "/")
	b, err := hex.DecodeString(incarnation)
	return ok && nodeName.MatchString(name) && err == nil && len(b) == incarnationSize
}

// incarnationSize is the number of random bytes that tell the lives of one name apart.
const incarnationSize = 4

func newIncarnation() string {
	var b [incarnationSize]byte
	if !mutant.OneLife {
		rand.Read(b[:])
	}
	return hex.EncodeToString(b[:])
}
