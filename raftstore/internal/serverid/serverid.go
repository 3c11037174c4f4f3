// Package serverid has the IDs by which Raft knows servers.
//
// An ID is NAME/INCARNATION, such as n1/3f9c0a51. It stands for one life of a disk: a node that starts with an empty
// directory is another server under the same name, since it remembers neither its votes nor what it acknowledged (Raft
// thesis, section 3.8). Votes, configurations and greetings have IDs; people see names. A cluster has one ID of a name
// at a time.
package serverid

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/distcache/distcache/internal/name"
	"github.com/distcache/distcache/raftstore/internal/mutant"
)

// An ID is a Raft server ID. No server has the zero value.
type ID string

// New is the ID of the node with a name in one of its incarnations.
func New(name, incarnation string) ID { return ID(name + "/" + incarnation) }

// Name is the node's name.
func (id ID) Name() string {
	name, _, _ := strings.Cut(string(id), "/")
	return name
}

// Valid tells whether the ID can be a server's.
func (id ID) Valid() bool {
	name, incarnation, ok := strings.Cut(string(id), "/")
	b, err := hex.DecodeString(incarnation)
	return ok && ValidName(name) && err == nil && len(b) == incarnationSize
}

// ValidName tells whether a name can be a node's.
func ValidName(s string) bool { return name.Valid(s) }

// incarnationSize is the number of random bytes that tell the lives of one name apart.
const incarnationSize = 4

// NewIncarnation returns a random incarnation.
func NewIncarnation() string {
	var b [incarnationSize]byte
	if !mutant.OneLife {
		rand.Read(b[:])
	}
	return hex.EncodeToString(b[:])
}
