package amqp

import "encoding/binary"

// capability asks the broker to say why it refuses credentials. Without it RabbitMQ waits three seconds and resets the connection,
// which looks like any other network trouble. The client library has no way to ask for it.
const capability = "authentication_failure_close"

// withCapability adds the capability to a connection.start-ok frame; any other frame, or one that looks unfamiliar, stays as it is.
//
//	frame head | class 10, method 11 | length, client properties | …
func withCapability(frame []byte) []byte {
	const properties = frameHead + 4 // where their length is
	if len(frame) < properties+4 || frame[0] != typeMethod || binary.BigEndian.Uint32(frame[frameHead:]) != 10<<16|11 {
		return frame
	}
	size, err := blockSize(frame, properties)
	if err != nil {
		return frame
	}
	at := findEntry(frame[properties+4:properties+size], "capabilities")
	if at < 0 {
		return frame
	}
	at += properties + 4 // of the value's tag; its length follows
	added := append([]byte{byte(len(capability))}, capability...)
	added = append(added, 't', 1)
	out := append([]byte(nil), frame[:at+5]...)
	out = append(append(out, added...), frame[at+5:]...)
	for _, length := range []int{3, properties, at + 1} {
		binary.BigEndian.PutUint32(out[length:], binary.BigEndian.Uint32(out[length:])+uint32(len(added)))
	}
	return out
}

// findEntry returns where in the entries of a table the tag of the named table is; -1 when there is none.
func findEntry(entries []byte, name string) int {
	for at := 0; at < len(entries); {
		value := at + 1 + int(entries[at])
		if value >= len(entries) {
			return -1
		}
		if string(entries[at+1:value]) == name && entries[value] == 'F' {
			return value
		}
		size, err := valueSize(entries[value:])
		if err != nil {
			return -1
		}
		at = value + size
	}
	return -1
}
