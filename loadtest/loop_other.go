//go:build !linux

package loadtest

import (
	"context"
	"sync"
)

// startLoops does nothing: loops need Linux.
func (b *Bench) startLoops(context.Context, *sync.WaitGroup) bool { return false }
