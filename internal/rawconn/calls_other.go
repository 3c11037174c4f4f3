//go:build !linux

package rawconn

import (
	"syscall"
	"time"
)

func read(fd uintptr, b []byte) (int, syscall.Errno) {
	return result(func() (int, error) { return syscall.Read(int(fd), b) })
}

func write(fd uintptr, b []byte) (int, syscall.Errno) {
	return result(func() (int, error) { return syscall.Write(int(fd), b) })
}

func result(call func() (int, error)) (int, syscall.Errno) {
	for {
		n, err := call()
		switch err := err.(type) {
		case nil:
			return n, 0
		case syscall.Errno:
			if err != syscall.EINTR {
				return n, err
			}
		default:
			return n, syscall.EIO
		}
	}
}

func setUserTimeout(uintptr, time.Duration) error { return nil }
