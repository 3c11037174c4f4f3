package raftstore

import (
	"slices"
	"testing"
)

// A node does not join through itself, however its address is spelt.
func TestOwnAddressIsLeftOut(t *testing.T) {
	c := Config{Peer: ":7001", Advertise: "h2:7001", Join: []string{"h1:7001", "H2:7001", "h3:7001", "h2:7002"}}
	own, others := c.joins()
	if !slices.Equal(own, []string{"H2:7001"}) || !slices.Equal(others, []string{"h1:7001", "h3:7001", "h2:7002"}) {
		t.Errorf("own %v, others %v", own, others)
	}
}
