package raftlog

import (
	"fmt"
)

// A Kind is the kind of files in which a node keeps its Raft log and its votes. Nodes of one cluster may use different
// kinds.
type Kind int

const (
	// Bolt is one bbolt file. A write is synced twice.
	Bolt Kind = iota
	// WAL is files that are only appended to. A write is synced once.
	WAL
)

// Kinds are all kinds.
var Kinds = []Kind{Bolt, WAL}

// String is the kind as ParseKind takes it.
func (k Kind) String() string {
	if k == WAL {
		return "wal"
	}
	return "bolt"
}

// ParseKind parses "bolt" or "wal".
func ParseKind(s string) (Kind, error) {
	for _, k := range Kinds {
		if s == k.String() {
			return k, nil
		}
	}
	return 0, fmt.Errorf("a log is of kind bolt or wal, not %q", s)
}

// File is the name of the log's file, or directory, in the data directory.
func (k Kind) File() string {
	if k == WAL {
		return "wal"
	}
	return "raft.db"
}

func (k Kind) other() Kind { return WAL - k }

// Names are all names that a log may have in the data directory, including those during a conversion.
func Names() (names []string) {
	for _, k := range Kinds {
		names = append(names, k.File(), k.File()+newSuffix, k.File()+oldSuffix)
	}
	return names
}
