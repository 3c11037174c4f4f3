package daemon

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
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

// hand gives a socket to its owner. It works on the file that is there now, and on nothing that a link put in its place
// might lead to.
func (a access) hand(path string, perms fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("%s is no longer the socket that was made there", path)
	}
	if err := unix.Fchownat(fd, "", a.uid, a.gid, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	return os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), perms)
}
