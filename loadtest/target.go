package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// findTimeout is how long each server may take, before the start, to accept a connection.
const findTimeout = 3 * time.Second

// A target is a server's address, with what it resolves to.
type target struct {
	wire.Address
	addr net.Addr // to connect a plain socket to; nil if not known, for a descriptor, and with TLS
	up   bool     // accepted a connection before the start
}

// newClient makes a client of a server. It does not connect yet. It does not care who listens on a unix socket: nothing
// that it sends is secret.
func newClient(a wire.Address, timeout time.Duration) (*client.Client, error) {
	return client.New(a.String(), client.WithDialer(a.Dial),
		client.WithTimeout(timeout), client.WithDialTimeout(timeout))
}

// findTargets connects to every address once. It is an error if no server accepts the connection.
func findTargets(ctx context.Context, addresses []wire.Address) ([]target, error) {
	var (
		targets []target
		errs    []error
	)
	for _, a := range addresses {
		t := target{Address: a}
		if a.Network() == "fd" { // can be dialled only once
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
		if a.Secure() {
			t.addr = nil
		}
		targets = append(targets, t)
	}
	if len(errs) == len(targets) {
		return nil, errors.Join(errs...)
	}
	return targets, nil
}
