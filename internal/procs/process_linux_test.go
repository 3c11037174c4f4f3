package procs

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asParent makes this test binary start a process, print its id, and wait to be killed.
const asParent = "PROCS_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(asParent) != "" {
		p := Process{Command: []string{"sleep", "1000"}}
		if err := p.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.Pid())
		select {}
	}
	os.Exit(m.Run())
}

// ends tells whether a process ends within a time.
func ends(t *testing.T, pidfd int, within time.Duration) bool {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(within.Milliseconds()))
		if err == nil {
			return n > 0
		} else if err != unix.EINTR {
			t.Fatal(err)
		}
	}
}

// However this process ends, the servers end too.
func TestServersDieWithParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asParent+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("it says %q", line)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	defer unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	if ends(t, pidfd, 0) {
		t.Error("it ended before its parent")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !ends(t, pidfd, 20*time.Second) {
		t.Error("it lives on")
	}
}

// The error for a server that ends by itself quotes what it printed.
func TestDiedSaysWhy(t *testing.T) {
	p := Process{Name: "n1", Command: []string{"sh", "-c", "echo the disk is full; exit 3"}}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if status, err := p.Wait(t.Context()); status != 3 || err != nil {
		t.Errorf("status %d: %v", status, err)
	}
	if err := fmt.Sprint(p.Died()); !strings.Contains(err, "the disk is full") || !strings.Contains(err, "status 3") {
		t.Error(err)
	}
}

func TestKill(t *testing.T) {
	p := Process{Name: "n1", Command: []string{"sleep", "1000"}}
	p.Kill() // does nothing: it does not run
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Died(); err != nil {
		t.Error(err)
	}
	p.Kill()
	if p.Running() {
		t.Error("it lives on")
	}
}

// Only their flags set what servers do.
func TestEnvironment(t *testing.T) {
	got := environment([]string{"PATH=/bin", "ETCD_NAME=x", "ETCDCTL_API=3", "DC_SERVER_READS=local", "GOGC=50"})
	if want := []string{"PATH=/bin", "GOGC=50"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
