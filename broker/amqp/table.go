package amqp

import (
	"fmt"
	"math"
	"strconv"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// octets is what can be read where it lies.
type octets interface{ ~string | ~[]byte }

func uint16At[T octets](b T, at int) uint16 { return uint16(b[at])<<8 | uint16(b[at+1]) }

func uint32At[T octets](b T, at int) uint32 {
	return uint32(b[at])<<24 | uint32(b[at+1])<<16 | uint32(b[at+2])<<8 | uint32(b[at+3])
}

func uint64At[T octets](b T, at int) uint64 {
	return uint64(uint32At(b, at))<<32 | uint64(uint32At(b, at+4))
}

// readTable decodes the entries of a table at the depth. What it returns shares the memory of s: one text for all names and values.
func readTable(s string, depth int) (broker.Table, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	table := make(broker.Table, countEntries(s))
	for n := 0; len(s) > 0; n++ {
		if n == maxEntries {
			return nil, errTooMany
		}
		name := 1 + int(s[0])
		if name > len(s) {
			return nil, errTruncated
		}
		value, size, err := readValue(s[name:], depth)
		if err != nil {
			return nil, err
		}
		table[s[1:name]] = value
		s = s[name+size:]
	}
	return table, nil
}

// countEntries is how many entries a table seems to have. What is wrong with it is for readTable to say.
func countEntries(s string) int {
	n := 0
	for ; len(s) > 0 && n < maxEntries; n++ {
		name := 1 + int(s[0])
		if name >= len(s) {
			break
		}
		size, err := valueSize(s[name:])
		if err != nil {
			break
		}
		s = s[name+size:]
	}
	return n
}

func readArray(s string, depth int) ([]any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	array := []any{}
	for n := 0; len(s) > 0; n++ {
		if n == maxEntries {
			return nil, errTooMany
		}
		value, size, err := readValue(s, depth)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
		s = s[size:]
	}
	return array, nil
}

// readValue decodes the tagged value that s starts with, into the type that the client library has for it; a decimal becomes a text. It
// returns its size with the tag, too.
func readValue(s string, depth int) (value any, size int, err error) {
	if len(s) == 0 {
		return nil, 0, errTruncated
	}
	size, err = valueSize(s)
	if err != nil {
		return nil, 0, err
	}
	switch s[0] {
	case 'V':
	case 't':
		value = s[1] != 0
	case 'S':
		value = s[5:size]
	case 'x':
		value = []byte(s[5:size])
	case 'T':
		value = readTime(s, 1)
	case 'F':
		value, err = readTable(s[5:size], depth+1)
	case 'A':
		value, err = readArray(s[5:size], depth+1)
	default:
		value = readNumber(s)
	}
	return value, size, err
}

// readNumber decodes a value of one of the remaining types, whose size is right.
func readNumber(s string) any {
	switch s[0] {
	case 'b':
		return int8(s[1]) //nolint:gosec // as it was sent; so are those below
	case 'B':
		return s[1]
	case 's':
		return int16(uint16At(s, 1)) //nolint:gosec // see above
	case 'u':
		return uint16At(s, 1)
	case 'I':
		return int32(uint32At(s, 1)) //nolint:gosec // see above
	case 'i':
		return uint32At(s, 1)
	case 'l', 'L':
		return int64(uint64At(s, 1)) //nolint:gosec // see above
	case 'f':
		return math.Float32frombits(uint32At(s, 1))
	case 'd':
		return math.Float64frombits(uint64At(s, 1))
	}
	return decimalText(amqp091.Decimal{Scale: s[1], Value: int32(uint32At(s, 2))}) //nolint:gosec // see above
}

// readTime decodes a timestamp: seconds.
func readTime(s string, at int) time.Time {
	return time.Unix(int64(uint64At(s, at)), 0).UTC() //nolint:gosec // as it was sent
}

// valueSize is the size of the tagged value that b starts with, tag included. L is what py-amqp and the specification call the
// long-long-int that RabbitMQ and the client library call l.
func valueSize[T octets](b T) (int, error) {
	var size int
	switch b[0] {
	case 'V':
		size = 1
	case 't', 'b', 'B':
		size = 2
	case 's', 'u':
		size = 3
	case 'I', 'i', 'f':
		size = 5
	case 'D':
		size = 6
	case 'l', 'L', 'd', 'T':
		size = 9
	case 'S', 'x', 'F', 'A':
		n, err := blockSize(b, 1)
		if err != nil {
			return 0, err
		}
		size = 1 + n
	default:
		return 0, fmt.Errorf("unknown type tag %s", strconv.QuoteRuneToASCII(rune(b[0])))
	}
	if size > len(b) {
		return 0, errTruncated
	}
	return size, nil
}

// blockSize is the size of a length-prefixed block at b[at:], with the four bytes of its length.
func blockSize[T octets](b T, at int) (int, error) {
	if len(b) < at+4 {
		return 0, errTruncated
	}
	n := uint32At(b, at)
	if uint64(n) > uint64(len(b)-at-4) {
		return 0, errTruncated
	}
	return 4 + int(n), nil
}
