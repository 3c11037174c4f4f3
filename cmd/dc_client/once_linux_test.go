package main

import (
	"testing"

	"github.com/distcache/distcache/internal/testutil"
)

func TestEndsWithInheritedConnection(t *testing.T) {
	testutil.EndsWithInheritedConnection(t, func(listen string) *testutil.Daemon {
		return start(t, "-listen", listen, "-server", "UNIX:"+t.TempDir()+"/nobody").Daemon
	})
}
