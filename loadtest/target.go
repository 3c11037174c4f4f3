package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/distcache/distcache/wire"
)

// findTimeout is how long each address may take, before the start, to accept a connection.
const findTimeout = 3 * time.Second

// A target is a server's address, and what it stands for.
type target struct {
	wire.Address
	addr net.Addr // nil if it is not known, or a descriptor
	up   bool     // before the start
}

// findTargets makes sure that there is something to measure: it connects to every address once. It is an error when
// nobody answers at any of them.
func findTargets(ctx context.Context, addresses []wire.Address) ([]target, error) {
	var (
		targets []target
		errs    []error
	)
	for _, a := range addresses {
		t := target{Address: a}
		if a.Network() == "fd" { // can be dialled but once
			t.up = true
			targets = append(targets, t)
			continue
		}
		dialCtx, cancel := context.WithTimeout(ctx, findTimeout)
		nc, err := a.Dial(dialCtx)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil:
			t.addr, t.up = nc.RemoteAddr(), true
			_ = nc.Close()
		default:
			errs = append(errs, fmt.Errorf("connect to %s: %w", a, err))
			t.addr, _ = a.Resolve()
		}
		targets = append(targets, t)
	}
	if len(errs) == len(targets) {
		return nil, errors.Join(errs...)
	}
	return targets, nil
}
