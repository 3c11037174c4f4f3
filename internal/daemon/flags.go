package daemon

import (
	"errors"
	"io/fs"
	"strconv"

	"github.com/distcache/distcache/internal/config"
)

// Options are the flags that daemons share.
type Options struct {
	detach   bool
	pidFile  string
	killable bool
	user     string

	sockOwner string
	sockGroup string
	sockPerms *fs.FileMode // nil: as the umask has it

	logging *config.Logging
	logFile string
	memory  int64 // -memory-limit; 0: not given

	set *config.Set // the tool's flags, these among them
}

// Files are the files that the flags name, including that of the settings.
func (o *Options) Files() (paths []string) {
	for _, path := range []string{o.pidFile, o.logFile, o.set.ConfigFile()} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// Flags adds the flags that daemons share to a tool's own.
func Flags(set *config.Set) *Options {
	o := &Options{set: set}
	set.Group("Daemon")
	set.Bool(&o.detach, "daemon",
		"run in the background, detached from the terminal; the command returns when the service is up, or with an error when it can't start")
	set.String(&o.pidFile, "pidfile", "PATH", "the path of a file",
		"write the process id to this file, and remove it on a clean stop; one that names a running process is an error, any other is replaced")
	set.String(&o.user, "user", "USER", "a user's name or number, or USER:GROUP",
		"become this user, with its groups or with the one group given, once the sockets are open; only root can")
	set.Bool(&o.killable, "killable", "let SIGUSR1 and SIGUSR2 stop the service cleanly, as SIGTERM and SIGINT always do; without it they are ignored")
	set.String(&o.logFile, "log-file", "PATH", "the path of a file",
		"append the log to this file, which SIGHUP opens anew; without it the log goes to standard error, or with -daemon to syslog")
	o.logging = set.Logging()
	set.Func("memory-limit", "SIZE", "a size such as 512MiB or 2GiB", "", "the memory that the process keeps to, by collecting garbage "+
		"more often and by bounds on what waits; by default nine tenths of its control group's limit, if there is one",
		setMemory(&o.memory))

	set.Group("Unix sockets that clients connect to")
	set.String(&o.sockOwner, "sockowner", "USER", "a user's name or number", "who owns them")
	set.String(&o.sockGroup, "sockgroup", "GROUP", "a group's name or number", "which group they belong to")
	set.Func("sockperms", "OCTAL", "permissions in octal such as 660", "", "their permissions: who may write to one may connect; by default the umask decides",
		func(text string) error {
			n, err := strconv.ParseUint(text, 8, 16)
			if err != nil || n > 0o777 {
				return errNotPerms
			}
			mode := fs.FileMode(n)
			o.sockPerms = &mode
			return nil
		})
	return o
}

var errNotPerms = errors.New("that is not an octal number from 0 to 777")
