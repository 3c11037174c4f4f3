package peernet

import (
	"errors"
	"io"
)

// A connection for Raft begins with a greeting: the kind, the name of the cluster that it comes from and that of the node
// that it is meant for, each behind its length in one byte.
//
// Whoever is at an address that was another node's turns it away. A node of another cluster would take its log, and a member
// of the same one would answer for another: its vote would be counted twice, the candidate's own too.
//
// The cluster's name is in its log. A node that has not applied that entry takes any, and says the name all the same when it
// has the entry: it may have more of the log than those that have applied it, and have to lead them. One that has not got it
// is turned away by those who have: the entry was committed, so they have more of the log and can lead it (Raft thesis,
// section 3.6.1).
type greeting struct{ cluster, node string }

// maxName is the longest name of a cluster or a node.
const maxName = 64

var errGreeting = errors.New("malformed greeting")

// bytes are what a connection begins with.
func (g greeting) bytes() ([]byte, error) {
	b := []byte{kindRaft}
	for _, name := range []string{g.cluster, g.node} {
		if len(name) > maxName {
			return nil, errGreeting
		}
		b = append(append(b, byte(len(name))), name...)
	}
	return b, nil
}

// readGreeting reads what follows the kind.
func readGreeting(r io.Reader) (g greeting, err error) {
	for _, name := range []*string{&g.cluster, &g.node} {
		if *name, err = readName(r); err != nil {
			return g, err
		}
	}
	return g, nil
}

func readName(r io.Reader) (string, error) {
	var b [1 + maxName]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return "", err
	}
	n := int(b[0])
	if n > maxName {
		return "", errGreeting
	}
	_, err := io.ReadFull(r, b[1:1+n])
	return string(b[1 : 1+n]), err
}
