package rawconn

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
)

// An OwnerError is a unix socket that another user listens on than was expected.
type OwnerError struct{ User int }

func (e *OwnerError) Error() string {
	return fmt.Sprintf("user %d listens there, who is neither root nor this user nor was named", e.User)
}

// OwnedBy makes of a function that connects one that refuses unix sockets of other users than root, this process's own and
// those given: anybody can listen at a path in /tmp before the right one does.
func OwnedBy(dial func(context.Context) (net.Conn, error), users ...int) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		if _, uid, ok := Process(c); ok && uid != 0 && uid != os.Geteuid() && !slices.Contains(users, uid) {
			c.Close()
			return nil, &OwnerError{uid}
		}
		return c, nil
	}
}
