package state

import (
	"encoding/binary"
	"hash/fnv"
)

// Digest stands for all that the machine's state is, but for the sessions' data: machines that have applied the same
// entries have the same. Sessions and origins count in whatever order they are kept. applied is the last entry that is
// part of the state. It takes as long as there are sessions.
func (m *Machine) Digest() (applied, digest uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var b []byte
	add := func() {
		h := fnv.New64a()
		h.Write(b)
		digest += h.Sum64()
	}
	for _, r := range m.c.index.order {
		s := m.c.index.at(r)
		b = m.c.index.appendID(append(b[:0], 's'), r)
		b = binary.BigEndian.AppendUint64(b, s.expiry)
		b = binary.BigEndian.AppendUint64(b, s.seq)
		add()
	}
	for id, o := range m.c.origins.byID {
		if m.c.origins.old(o) {
			continue // swept away or not, it is forgotten
		}
		b = binary.BigEndian.AppendUint64(append(b[:0], 'o'), id)
		b = append(b, o.encode()...)
		add()
	}
	b = binary.BigEndian.AppendUint64(append(b[:0], 'c'), m.c.stamp)
	b = binary.BigEndian.AppendUint64(b, m.c.seq)
	b = binary.BigEndian.AppendUint64(b, m.c.origins.clock)
	add()
	return m.c.applied, digest
}
