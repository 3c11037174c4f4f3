package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/distcache/distcache/internal/config"
)

// An account is the user that a daemon becomes.
type account struct {
	name   string // as it was given
	uid    int
	gid    int
	groups []int
}

// lookupAccount finds USER, UID, USER:GROUP or UID:GID. A number that has no entry in the password file needs its
// group beside it.
func lookupAccount(text string) (*account, error) {
	name, group, grouped := strings.Cut(text, ":")
	a := &account{name: text}
	u, err := findUser(name)
	switch {
	case err == nil:
		if a.uid, err = strconv.Atoi(u.Uid); err != nil {
			return nil, err
		}
	case grouped && isID(name):
		a.uid, _ = strconv.Atoi(name)
	case isID(name):
		return nil, fmt.Errorf("there is no user %s, whose group would be known: give UID:GROUP", name)
	default:
		return nil, err
	}
	if grouped {
		if a.gid, err = findGroup(group); err != nil {
			return nil, err
		}
		a.groups = []int{a.gid}
		return a, nil
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return nil, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("the groups of %s: %w", name, err)
	}
	for _, id := range ids {
		gid, err := strconv.Atoi(id)
		if err != nil {
			return nil, err
		}
		a.groups = append(a.groups, gid)
	}
	return a, nil
}

func isID(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

// findUser looks for a name first and then for a number, as chown does.
func findUser(s string) (*user.User, error) {
	u, err := user.Lookup(s)
	if err != nil && isID(s) {
		u, err = user.LookupId(s)
	}
	var name user.UnknownUserError
	var id user.UnknownUserIdError
	if errors.As(err, &name) || errors.As(err, &id) {
		return nil, fmt.Errorf("there is no user %q", s)
	}
	return u, err
}

// FindUser finds the number of a user by name or number.
func FindUser(s string) (int, error) { return findUID(s) }

// findUID finds a user's number, also one without an entry in the password file.
func findUID(s string) (int, error) {
	u, err := findUser(s)
	if err != nil {
		if isID(s) {
			return strconv.Atoi(s)
		}
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

// findGroup finds a group's number, also one without an entry in the group file.
func findGroup(s string) (int, error) {
	g, err := user.LookupGroup(s)
	if err == nil {
		return strconv.Atoi(g.Gid)
	}
	if isID(s) {
		return strconv.Atoi(s)
	}
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		return 0, fmt.Errorf("there is no group %q", s)
	}
	return 0, err
}

// resolveUser finds the account of -user, nil without that flag, and makes sure that this process may become it.
func (o *Options) resolveUser() (*account, error) {
	if o.user == "" {
		return nil, nil
	}
	a, err := lookupAccount(o.user)
	if err != nil {
		return nil, config.Usagef("-user %s: %w", o.user, err)
	}
	if os.Geteuid() != 0 && a.uid != os.Geteuid() {
		return nil, fmt.Errorf("-user %s: only root can become another user", o.user)
	}
	return a, nil
}

// become gives up root's rights for good, on all threads.
func (a *account) become() error {
	if os.Geteuid() != 0 {
		return nil // the process is that user already
	}
	if err := syscall.Setgroups(a.groups); err != nil {
		return fmt.Errorf("-user %s: set the groups: %w", a.name, err)
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return fmt.Errorf("-user %s: set the group: %w", a.name, err)
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return fmt.Errorf("-user %s: set the user: %w", a.name, err)
	}
	if a.uid != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("-user %s: the process could still become root again", a.name)
	}
	return nil
}
