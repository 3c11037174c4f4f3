package daemon

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// removerVariable tells a process that it is a remover.
const removerVariable = "DISTCACHE_REMOVER"

// A remover is a process that keeps root's rights for one purpose: it removes files for a daemon that has given up its
// rights. It removes only files on a list that was fixed when it started. It ends with the daemon. A nil remover
// removes nothing.
type remover struct {
	paths []string
	ask   *os.File // takes the number of a path, on a line
	heard *bufio.Reader
	pipe  *os.File // the answers, which heard reads
	proc  *os.Process
}

// startRemover starts a remover and waits until it has read the list of files.
func startRemover(paths []string) (*remover, error) {
	for i, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		paths[i] = abs
	}
	askR, askW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer askR.Close()
	heardR, heardW, err := os.Pipe()
	if err != nil {
		askW.Close()
		return nil, err
	}
	defer heardW.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		askW.Close()
		heardR.Close()
		return nil, err
	}
	defer null.Close()
	// Started by this path the process has another name than the daemon, so that a killall does not reach it.
	proc, err := os.StartProcess("/proc/self/exe", append([]string{filepath.Base(os.Args[0]) + ": removes at the end"}, paths...), &os.ProcAttr{
		Dir:   "/",
		Env:   append(os.Environ(), removerVariable+"=1", "GOMAXPROCS=1"),
		Files: []*os.File{askR, heardW, null},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		askW.Close()
		heardR.Close()
		return nil, err
	}
	r := &remover{paths: paths, ask: askW, heard: bufio.NewReader(heardR), pipe: heardR, proc: proc}
	heardW.Close()
	if _, err := r.heard.ReadString('\n'); err != nil {
		r.close()
		return nil, fmt.Errorf("it ended: %w", err)
	}
	return r, nil
}

// remove asks the remover to remove a file, and tells whether the remover has tried. It is false for a file that is not
// on the remover's list.
func (r *remover) remove(path string) bool {
	if r == nil {
		return false
	}
	abs, err := filepath.Abs(path)
	i := slices.Index(r.paths, abs)
	if err != nil || i < 0 {
		return false
	}
	if _, err := fmt.Fprintln(r.ask, i); err != nil {
		return false
	}
	_, err = r.heard.ReadString('\n')
	return err == nil
}

func (r *remover) close() {
	if r != nil {
		r.ask.Close()
		_, _ = r.proc.Wait()
		r.pipe.Close()
	}
}

func isRemover() bool { return os.Getenv(removerVariable) != "" }

// runRemover is the remover's own main.
func runRemover() int {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	if os.Getenv(removerVariable) == "1" {
		env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, removerVariable+"=") })
		_ = keepRemoving(append(env, removerVariable+"=2")) // where that can't be done, all rights are kept
	}
	_ = os.WriteFile("/proc/self/comm", []byte("dc-remover"), 0)
	return removeOnDemand(os.Args[1:], os.Stdin, os.Stdout)
}

func removeOnDemand(paths []string, ask io.Reader, heard io.Writer) int {
	files := make([]fs.FileInfo, len(paths))
	for i, path := range paths {
		files[i], _ = os.Lstat(path)
	}
	fmt.Fprintln(heard)
	for lines := bufio.NewScanner(ask); lines.Scan(); fmt.Fprintln(heard) {
		i, err := strconv.Atoi(lines.Text())
		if err != nil || i < 0 || i >= len(files) || files[i] == nil {
			continue
		}
		if now, err := os.Lstat(paths[i]); err == nil && os.SameFile(files[i], now) {
			_ = os.Remove(paths[i])
		}
		files[i] = nil
	}
	return 0
}
