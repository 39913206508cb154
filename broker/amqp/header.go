package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed-399731e2/taskq/internal/record"
)

// HeaderUnreadable is the only header of a delivery whose header table could not be read; its value says why. Such a message
// has no task name and no id: it can only be rejected.
const HeaderUnreadable = "x-taskq-unreadable"

// The client library's limits on header tables are those of records. It closes the connection when one is exceeded.
const (
	maxDepth   = record.MaxDepth
	maxEntries = record.MaxEntries
)

// Layout of a content header (section 2.3.5.2): class, weight, body size, flags, then the properties that the flags announce.
const (
	headerFixed   = 14
	flagsAt       = 12
	flagType      = 0x8000 // content-type
	flagEncoding  = 0x4000
	flagHeaders   = 0x2000
	flagMode      = 0x1000
	flagPriority  = 0x0800
	flagTimestamp = 0x0040
	flagLast      = 0x0004 // cluster-id
	flagContinued = 0x0001 // more flags follow; nobody sends it, the library cannot read it
)

var (
	errTruncated = errors.New("the table ends too early")
	errTooDeep   = fmt.Errorf("tables nest deeper than %d", maxDepth)
	errContinued = errors.New("the property flags are continued")
	errTooMany   = fmt.Errorf("a table has more than %d entries", maxEntries)
)

// repairHeader makes the payload of a content-header frame readable for the client library. Long integers with py-amqp's tag are
// retagged in place. When the header table cannot be read at all, it returns a new payload with a table that says so; when the
// properties themselves cannot be read, one with that table as its only property.
func repairHeader(payload []byte) (repaired []byte, replaced bool) {
	if len(payload) < headerFixed {
		return markedHeader(make([]byte, headerFixed), errTruncated), true
	}
	flags := binary.BigEndian.Uint16(payload[flagsAt:])
	start, end, err := locateTable(payload, flags)
	if err != nil {
		return markedHeader(payload, err), true
	}
	if flags&flagHeaders == 0 {
		return payload, false
	}
	err = repairTable(payload[start+4:end], 0)
	if err == nil {
		return payload, false
	}
	out := make([]byte, 0, len(payload))
	out = append(out, payload[:start]...)
	out = append(out, markTable(err)...)
	return append(out, payload[end:]...), true
}

// locateTable walks over the properties and returns where the header table (with its length) starts and ends; both are 0 when
// there is none.
func locateTable(payload []byte, flags uint16) (start, end int, err error) {
	if flags&flagContinued != 0 {
		return 0, 0, errContinued
	}
	at := headerFixed
	for bit := uint16(flagType); bit >= flagLast; bit >>= 1 {
		if flags&bit == 0 {
			continue
		}
		rest := payload[min(at, len(payload)):]
		var size int
		switch bit {
		case flagHeaders:
			if size, err = blockSize(rest, 0); err != nil {
				return 0, 0, err
			}
			start, end = at, at+size
		case flagMode, flagPriority:
			size = 1
		case flagTimestamp:
			size = 8
		default: // a short string
			if len(rest) == 0 {
				return 0, 0, errTruncated
			}
			size = 1 + int(rest[0])
		}
		if size > len(rest) {
			return 0, 0, errTruncated
		}
		at += size
	}
	return start, end, nil
}

// markedHeader is a content header with the class and body size of payload and the marking table as its only property.
func markedHeader(payload []byte, reason error) []byte {
	out := append([]byte(nil), payload[:headerFixed]...)
	binary.BigEndian.PutUint16(out[flagsAt:], flagHeaders)
	return append(out, markTable(reason)...)
}

func markTable(reason error) []byte {
	text := reason.Error()
	size := 1 + len(HeaderUnreadable) + 1 + 4 + len(text)
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+size), uint32(size))
	out = append(out, byte(len(HeaderUnreadable)))
	out = append(out, HeaderUnreadable...)
	out = append(out, 'S')
	out = binary.BigEndian.AppendUint32(out, uint32(len(text)))
	return append(out, text...)
}

// repairTable walks over the entries of a table at the depth and retags long integers.
func repairTable(b []byte, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	for n := 0; len(b) > 0; n++ {
		if n == maxEntries {
			return errTooMany
		}
		name := 1 + int(b[0])
		if name > len(b) {
			return errTruncated
		}
		size, err := repairValue(b[name:], depth)
		if err != nil {
			return err
		}
		b = b[name+size:]
	}
	return nil
}

func repairArray(b []byte, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	for n := 0; len(b) > 0; n++ {
		if n == maxEntries {
			return errTooMany
		}
		size, err := repairValue(b, depth)
		if err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// repairValue walks over one tagged value and returns its size with the tag.
func repairValue(b []byte, depth int) (int, error) {
	if len(b) == 0 {
		return 0, errTruncated
	}
	if b[0] == 'L' { // py-amqp's and the specification's long-long-int; RabbitMQ and the client library call it l
		b[0] = 'l'
	}
	size, err := valueSize(b)
	if err != nil {
		return 0, err
	}
	switch b[0] {
	case 'F':
		err = repairTable(b[5:size], depth+1)
	case 'A':
		err = repairArray(b[5:size], depth+1)
	}
	return size, err
}
