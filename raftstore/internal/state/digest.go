package state

import (
	"encoding/binary"
	"hash/fnv"
)

// Digest is a hash of the machine's state without the sessions' data: machines that have applied the same entries
// have the same digest. It does not depend on the order in which sessions and client sessions are kept. applied is
// the applied index. The time that Digest takes is proportional to the number of sessions.
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
	for id, o := range m.c.clientSessions.byID {
		if m.c.clientSessions.old(o) {
			continue // forgotten, whether or not it has been swept
		}
		b = binary.BigEndian.AppendUint64(append(b[:0], 'o'), id)
		b = append(b, o.encode()...)
		add()
	}
	b = binary.BigEndian.AppendUint64(append(b[:0], 'c'), m.c.stamp)
	b = binary.BigEndian.AppendUint64(b, m.c.seq)
	b = binary.BigEndian.AppendUint64(b, m.c.clientSessions.clock)
	add()
	return m.c.applied, digest
}
