package daemon

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
)

func TestSocketsBelongToWhomTheFlagsSay(t *testing.T) {
	needRoot(t)
	before := syscall.Umask(0o027)
	defer syscall.Umask(before)
	all, group := fs.FileMode(0o666), fs.FileMode(0o660)
	for _, c := range []struct {
		access   access
		uid, gid uint32
		mode     fs.FileMode
	}{
		{access{-1, -1, nil}, 0, 0, 0o750},
		{access{-1, -1, &all}, 0, 0, 0o666},
		{access{65534, -1, nil}, 65534, 0, 0o750},
		{access{-1, 12345, &group}, 0, 12345, 0o660},
		{access{65534, 12345, &group}, 65534, 12345, 0o660},
	} {
		path := filepath.Join(testutil.ShortDir(t), "s")
		at := testutil.Address(t, "UNIX:"+path)
		l, err := c.access.listen(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid != c.uid || st.Gid != c.gid || info.Mode().Perm() != c.mode {
			t.Errorf("%+v gives %d:%d %v", c.access, st.Uid, st.Gid, info.Mode())
		}
		l.Close()
		if now := syscall.Umask(0o027); now != 0o027 {
			t.Errorf("the umask is left at %o", now)
		}
	}
}

func TestSocketStaleOrLive(t *testing.T) {
	dir := testutil.ShortDir(t)
	path := filepath.Join(dir, "up.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := testd(t, dir, "-daemon", "-listen", "UNIX:up.sock", "-sockperms", "600").CombinedOutput()
	if status(err) != 1 || !strings.Contains(string(out), "another process listens there") {
		t.Errorf("over a live socket: status %d, said %q", status(err), out)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	detached(t, dir, "-sockperms", "600")
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket that replaced a stale one: %v, %v", info, err)
	}
}

func TestHandFollowsNoLink(t *testing.T) {
	needRoot(t)
	dir := testutil.ShortDir(t)
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, target} {
		if err := (access{uid: 65534, gid: -1}).hand(path, 0o666); err == nil {
			t.Errorf("%s was handed over", path)
		}
	}
	info, err := os.Stat(target)
	if err != nil || info.Mode().Perm() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the link's target: %v, %v", info, err)
	}
}
