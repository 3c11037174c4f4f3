package procs

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Processes that look for free addresses at the same time never get the same.
func TestFreeAddressesOfSeveralProcesses(t *testing.T) {
	const each = 10
	if os.Getenv("PROCS_TEST_ADDRESSES") != "" {
		list, err := FreeAddresses(each)
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString(strings.Join(list, "\n") + "\n\n")
		os.Stdin.Read(make([]byte, 1)) // keeps the addresses until the other process closes its end
		return
	}
	taken := elsewhere(t)
	_, first, _ := strings.Cut(taken[0], ":")
	port, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	ports.Lock()
	ports.next = port - 1 // so that this process would try that port next
	ports.Unlock()
	list, err := FreeAddresses(2 * each)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if slices.Contains(taken, a) {
			t.Errorf("%s was given twice", a)
		}
	}
}

// elsewhere returns addresses that another process was given. That process runs until the test ends.
func elsewhere(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "PROCS_TEST_ADDRESSES=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	var said bytes.Buffer
	for b := make([]byte, 4096); !strings.HasSuffix(said.String(), "\n\n"); {
		n, err := out.Read(b)
		if said.Write(b[:n]); err != nil {
			t.Fatalf("%v: %s", err, &said)
		}
	}
	return strings.Fields(said.String())
}
