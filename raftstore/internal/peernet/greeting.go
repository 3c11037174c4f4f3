package peernet

import (
	"errors"
	"io"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// Every connection between nodes begins with a greeting: one byte for the kind of the connection, then strings, each
// preceded by its length in one byte.
//
//	kind      strings
//	kindPeer  the sender's ID, the ID of the node that is addressed; empty: whichever node is there
//	kindRaft  the sender's ID, the sender's HOST:PORT, the ID of the node that is addressed
//
// With TLS, the greeting follows the handshake, and the sender's ID must have the name in its certificate.
//
// A node with another ID closes the connection. An ID is one life of a disk. So neither another member at the same
// address, nor a node of another cluster, nor a wiped node of the same name gets or answers requests that are not for
// it.
const (
	kindRaft = 'R'
	kindPeer = 'p'
	kindOld  = 'P' // peer requests of versions whose greeting did not have the sender's ID
)

// maxID is the longest ID in a greeting. An address may have up to 255 bytes.
const maxID = 80

var errGreeting = errors.New("malformed greeting")

// A greetingOf is the greeting of a connection of some kind.
type greetingOf struct {
	kind byte
	from Peer        // with kindPeer, without address
	to   serverid.ID // of the node that is addressed
}

func (g greetingOf) bytes() ([]byte, error) {
	if len(g.from.ID) > maxID || len(g.to) > maxID || len(g.from.Address) > 255 {
		return nil, errGreeting
	}
	b := appendString([]byte{g.kind}, string(g.from.ID))
	if g.kind == kindRaft {
		b = appendString(b, g.from.Address)
	}
	return appendString(b, string(g.to)), nil
}

// readGreeting reads a greeting after its kind.
func readGreeting(r io.Reader, kind byte) (g greetingOf, err error) {
	g.kind = kind
	if g.from.ID, err = readID(r); err != nil {
		return g, err
	}
	if !g.from.ID.Valid() {
		return g, errGreeting
	}
	if kind == kindRaft {
		if g.from.Address, err = readString(r, 255); err != nil {
			return g, err
		}
	}
	g.to, err = readID(r)
	return g, err
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
