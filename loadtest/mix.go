package loadtest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/distcache/distcache/wire"
)

// A Mix is the weight of each operation in a benchmark.
type Mix [wire.UserOps]int

// maxWeight keeps the sum of the weights small.
const maxWeight = 1_000_000

// ParseMix reads a mix such as "add=10,get=90".
func ParseMix(s string) (Mix, error) {
	var m Mix
	for part := range strings.SplitSeq(s, ",") {
		name, weight, found := strings.Cut(strings.TrimSpace(part), "=")
		op, known := opNamed(name)
		n, err := strconv.Atoi(weight)
		switch {
		case !known:
			return m, fmt.Errorf("%q is no operation: there are add, get, remove and have", name)
		case !found || err != nil || n < 0 || n > maxWeight:
			return m, fmt.Errorf("%q: a weight is a whole number from 0 to %d, as in %s=10", part, maxWeight, name)
		}
		m[op] = n
	}
	return m, m.check()
}

func opNamed(name string) (wire.Op, bool) {
	for op := range wire.Op(wire.UserOps) {
		if strings.EqualFold(name, op.String()) {
			return op, true
		}
	}
	return 0, false
}

func (m Mix) check() error {
	switch {
	case m.total() == 0:
		return errors.New("a mix needs an operation with a weight above 0")
	case m[wire.OpRemove] > m[wire.OpAdd]:
		return errors.New("removes take what adds have added: remove may not be above add")
	}
	return nil
}

func (m Mix) total() int {
	sum := 0
	for _, n := range m {
		sum += n
	}
	return sum
}

// reads tells whether the mix needs preloaded sessions.
func (m Mix) reads() bool { return m[wire.OpGet]+m[wire.OpHave] > 0 }

// pick chooses an operation by a random number.
func (m Mix) pick(r uint64) wire.Op {
	n := int(r % uint64(m.total()))
	for op, weight := range m {
		if n < weight {
			return wire.Op(op)
		}
		n -= weight
	}
	return wire.OpGet
}

// String is the mix as ParseMix takes it.
func (m Mix) String() string {
	var parts []string
	for op, n := range m {
		if n > 0 {
			parts = append(parts, strings.ToLower(wire.Op(op).String())+"="+strconv.Itoa(n))
		}
	}
	return strings.Join(parts, ",")
}
