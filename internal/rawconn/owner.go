package rawconn

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
)

// An OwnerError says that an unexpected user listens on a unix socket.
type OwnerError struct{ User int }

func (e *OwnerError) Error() string {
	return fmt.Sprintf("user %d listens there, who is neither root nor this user nor was named", e.User)
}

// OwnedBy returns dial with a check: it refuses a unix socket unless root, the user of this process or one of the given
// users listens there. Otherwise anybody could listen at a path in /tmp before the right server does.
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
