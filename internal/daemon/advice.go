package daemon

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// advise warns of settings that most likely don't have the effect that the operator wants. It is called when the
// sockets are open.
func (p *Process) advise() {
	flags := p.options.socketFlags()
	switch {
	case len(flags) == 0:
	case p.shared == "":
		p.Log.Warn("no -listen is a unix socket that this process makes: what says who may connect to one has no effect", "flags", strings.Join(flags, ", "))
	default:
		info, err := os.Lstat(p.shared)
		if err != nil {
			return // somebody removed the socket
		}
		for _, who := range p.options.shutOut(info.Mode()) {
			p.Log.Warn(who+" can't connect: that takes the right to write to the socket, as -sockperms 660 gives it",
				"socket", p.shared, "permissions", fmt.Sprintf("%o", info.Mode().Perm()))
		}
	}
}

// socketFlags returns the flags about clients' sockets that were given.
func (o *Options) socketFlags() (flags []string) {
	for _, name := range []string{"sockowner", "sockgroup", "sockperms"} {
		if o.set.Given(name) {
			flags = append(flags, "-"+name)
		}
	}
	return flags
}

// shutOut returns whom the sockets' mode keeps out although a flag names them: the owner, the group or both.
func (o *Options) shutOut(mode fs.FileMode) (list []string) {
	for _, who := range []struct {
		name string
		bits fs.FileMode
		flag string
	}{
		{"the sockets' owner", mode >> 6 & 7, o.sockOwner},
		{"the sockets' group", mode >> 3 & 7, o.sockGroup},
	} {
		if who.bits&2 == 0 && (who.flag != "" || o.sockPerms != nil && who.bits != 0) {
			list = append(list, who.name)
		}
	}
	return list
}
