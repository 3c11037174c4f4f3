package main

import "testing"

func TestParseDisk(t *testing.T) {
	got, err := parseDisk("  100 2 3000 4   50 6 7000 8 0 9 10\n")
	if err != nil || got != 7000*512 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "1 2 3 4 5 6 x"} {
		if _, err := parseDisk(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestMountOf(t *testing.T) {
	const mounts = `26 1 254:0 / / rw,relatime - ext4 /dev/vda rw
27 26 0:21 / /tmp rw,nosuid shared:5 master:3 - tmpfs tmpfs rw
28 26 8:1 / /srv/data rw - xfs /dev/sda1 rw
29 26 8:2 / /srv/data rw - btrfs /dev/sda2 rw
bad line
`
	for path, want := range map[string]string{
		"/home/me": "ext4 /dev/vda", "/": "ext4 /dev/vda", "/tmp": "tmpfs tmpfs", "/tmp/x": "tmpfs tmpfs",
		"/tmpx": "ext4 /dev/vda", "/srv/data/x": "btrfs /dev/sda2", "/srv": "ext4 /dev/vda",
	} {
		kind, source := mountOf(mounts, path)
		if got := kind + " " + source; got != want {
			t.Errorf("%s: %s instead of %s", path, got, want)
		}
	}
	if kind, _ := mountOf("", "/tmp"); kind != "" {
		t.Errorf("without mounts: %s", kind)
	}
}

func TestCPUModel(t *testing.T) {
	if got := cpuModel("processor\t: 0\nmodel name\t: A CPU: fast\nmodel name\t: B\n"); got != "A CPU: fast" {
		t.Errorf("%q", got)
	}
}

// The output of strace, with calls of several threads mixed.
func TestCountSyncs(t *testing.T) {
	const lines = `4711  fdatasync(7)                  = 0
4711 fsync(12 <unfinished ...>
4713  sync_file_range(3, 0, 0, SYNC_FILE_RANGE_WRITE) = 0
4711 <... fsync resumed>)              = 0
4712 fdatasync(7 <unfinished ...>
4714 syncfs(5) = 0
4712 <... fdatasync resumed>)          = -1 EIO (Input/output error)
4712 +++ exited with 0 +++
strace: fsync( of nothing
`
	if got := countSyncs([]byte(lines)); got != 5 {
		t.Errorf("%d", got)
	}
}
