package peernet

import (
	"errors"
	"io"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// Every connection between nodes begins with a greeting: one byte for its kind, then strings, each behind its length in one
// byte.
//
//	kind      strings
//	kindPeer  the ID of the node that is meant; empty: whichever node is there
//	kindRaft  the sender's ID, the sender's HOST:PORT, the ID of the node that is meant
//
// A node that is not meant closes the connection. IDs are of one life of a disk, so that neither another member at that
// address, nor a node of another cluster, nor one that was wiped and has the same name takes what was not for it, or
// answers in its place.
const (
	kindRaft = 'R'
	kindPeer = 'P'
)

// maxID is the longest ID in a greeting; an address may have as many bytes as its length can say.
const maxID = 80

var errGreeting = errors.New("malformed greeting")

// A greeting is what a connection for Raft begins with.
type greeting struct {
	from Peer
	to   serverid.ID // of the node that is meant
}

func (g greeting) bytes() ([]byte, error) {
	if len(g.from.ID) > maxID || len(g.to) > maxID || len(g.from.Address) > 255 {
		return nil, errGreeting
	}
	b := []byte{kindRaft}
	for _, s := range []string{string(g.from.ID), g.from.Address, string(g.to)} {
		b = appendString(b, s)
	}
	return b, nil
}

// readGreeting reads what follows kindRaft.
func readGreeting(r io.Reader) (g greeting, err error) {
	if g.from.ID, err = readID(r); err != nil {
		return g, err
	}
	if g.from.Address, err = readString(r, 255); err != nil {
		return g, err
	}
	g.to, err = readID(r)
	return g, err
}

// peerGreeting is what a connection for requests begins with.
func peerGreeting(to serverid.ID) ([]byte, error) {
	if len(to) > maxID {
		return nil, errGreeting
	}
	return appendString([]byte{kindPeer}, string(to)), nil
}

func appendString(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

func readID(r io.Reader) (serverid.ID, error) {
	s, err := readString(r, maxID)
	return serverid.ID(s), err
}

func readString(r io.Reader, most int) (string, error) {
	var b [1 + 255]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return "", err
	}
	n := int(b[0])
	if n > most {
		return "", errGreeting
	}
	_, err := io.ReadFull(r, b[1:1+n])
	return string(b[1 : 1+n]), err
}
