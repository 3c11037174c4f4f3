package daemon

import (
	"context"
	"io/fs"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/wire"
)

// access is who may connect to a unix socket.
type access struct {
	uid, gid int          // -1: whoever made it
	perms    *fs.FileMode // nil: as the umask has it
}

// clientAccess is what the flags say about clients' sockets.
func (o *Options) clientAccess() (access, error) {
	a := access{uid: -1, gid: -1, perms: o.sockPerms}
	var err error
	if o.sockOwner != "" {
		if a.uid, err = findUID(o.sockOwner); err != nil {
			return a, config.Usagef("-sockowner %s: %w", o.sockOwner, err)
		}
	}
	if o.sockGroup != "" {
		if a.gid, err = findGroup(o.sockGroup); err != nil {
			return a, config.Usagef("-sockgroup %s: %w", o.sockGroup, err)
		}
	}
	return a, nil
}

// umask is the process's; it is held while a socket is made.
var umask sync.Mutex

// listen listens on an address. Nobody can connect to a unix socket before it is as access says: it is made without
// any rights, if its owner has to be changed, or with the final ones.
func (a access) listen(ctx context.Context, at wire.Address) (net.Listener, error) {
	if at.Path() == "" || a == (access{uid: -1, gid: -1}) {
		return at.Listen(ctx)
	}
	umask.Lock()
	defer umask.Unlock()
	before := unix.Umask(0)
	defer unix.Umask(before)
	final := 0o777 &^ fs.FileMode(before)
	if a.perms != nil {
		final = *a.perms
	}
	if a.uid < 0 && a.gid < 0 {
		unix.Umask(int(0o777 &^ final))
		return at.Listen(ctx)
	}
	unix.Umask(0o777)
	l, err := at.Listen(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.hand(at.Path(), final); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
