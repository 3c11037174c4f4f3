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
	uid, gid int          // -1: unchanged
	perms    *fs.FileMode // nil: as the umask has it
}

// clientAccess returns the access to clients' sockets that the flags choose.
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

// umask is held while a socket is made, since the umask is the whole process's.
var umask sync.Mutex

// listen listens on an address. At no moment can anybody connect to a unix socket whom access does not allow: the
// socket is made with its final permissions, or, if its owner has to be changed, first without any.
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
