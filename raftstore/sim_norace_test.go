//go:build !race

package raftstore

// simLeftOut are the kinds of faults that "go test" goes without.
const simLeftOut = ""
