//go:build race

package rawconn

import "syscall"

// For the race detector, what happens before a write happens before what follows the read of it: package syscall tells
// the detector so. These empty calls of package syscall do it for our own calls.

func hasRead(fd uintptr) { _, _ = syscall.Read(int(fd), nil) }

func willWrite() { _, _ = syscall.Write(-1, nil) }
