package main

import (
	"syscall"
	"time"
)

// A usage is what servers and load have used. It does not count what each process writes: for the kernel (write_bytes
// in /proc/PID/io), a page counts as the whole folio that it is cached in, which may be hundreds of pages.
type usage struct {
	servers time.Duration // processor time of the servers, together
	load    time.Duration // of this process
	disk    *uint64       // bytes that all processes wrote to the disk of the servers' files; nil when not known
	syncs   []uint64      // of the disk, by server; nil when not counted
}

// readUsage reads what a farm and this process have used. The error is errors.ErrUnsupported on systems that don't
// tell.
func readUsage(f *farm) (usage, error) {
	var u usage
	for _, p := range f.processes {
		used, err := p.Usage()
		if err != nil {
			return usage{}, err
		}
		u.servers += used.CPU
	}
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return usage{}, err
	}
	u.load = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	if n, err := readDisk(f.dir); err == nil {
		u.disk = &n
	}
	return u, nil
}

// since is the usage since an earlier reading.
func (u usage) since(earlier usage) *usage {
	d := &usage{servers: u.servers - earlier.servers, load: u.load - earlier.load}
	if u.disk != nil && earlier.disk != nil {
		n := *u.disk - *earlier.disk
		d.disk = &n
	}
	for i, n := range u.syncs {
		d.syncs = append(d.syncs, n-earlier.syncs[i])
	}
	return d
}
