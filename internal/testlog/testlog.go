// Package testlog has a buffer from which tests read logs.
package testlog

import "github.com/distcache/distcache/internal/testutil"

// A Buffer takes a log's lines, which may be read while more are written.
type Buffer = testutil.Buffer
