package main

import (
	"os"
	"testing"
)

// What is wrong with the peer address is not taken for the data directory's fault.
func TestCannotListenForNodes(t *testing.T) {
	alone := func(more ...string) []string {
		return append([]string{"-listen", "IP:127.0.0.1:0", "-node", "n1", "-data", t.TempDir(), "-insecure-peer"}, more...)
	}
	// 192.0.2.0/24 is for documentation.
	err := refuses(t, alone("-peer", "192.0.2.1:7001")...)
	wantFailure(t, err, 1, "-peer: listen for other nodes on 192.0.2.1:7001")
	wantHint(t, err, "No interface of this machine has that address.")

	if os.Geteuid() != 0 {
		err = refuses(t, alone("-peer", "127.0.0.1:1")...)
		wantFailure(t, err, 1, "-peer: ")
		wantHint(t, err, "This user may not listen there.")
	}
}
