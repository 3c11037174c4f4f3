//go:build !linux

package loadtest

import (
	"context"
	"sync"
)

// startLoops is for Linux.
func (b *Bench) startLoops(context.Context, *sync.WaitGroup) bool { return false }
