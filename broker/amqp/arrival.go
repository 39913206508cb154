package amqp

import (
	"strconv"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// More flags of a content header, in the order of the properties.
const (
	flagCorrelation = 0x0400
	flagReplyTo     = 0x0200
	flagExpiration  = 0x0100
	flagMessageID   = 0x0080
	flagKind        = 0x0020 // type
	flagUser        = 0x0010
	flagApp         = 0x0008
)

// arrival is a delivery as it came from the broker. It is decoded by whoever takes it.
type arrival struct {
	tag         uint64
	redelivered bool
	text        string // exchange and routing key as the method has them, then the payload of the content header
	header      int    // where in text the payload begins
	body        []byte
	line        *line // in which it waits
}

func (a *arrival) exchange() string { return a.text[1 : 1+a.text[0]] }

func (a *arrival) routingKey() string { return a.text[2+a.text[0] : a.header] }

// message is the message in the terms of package broker. When its header table cannot be read, HeaderUnreadable stands in its place;
// when the properties cannot, that is all there is of them.
func (a *arrival) message() broker.Message {
	msg := a.parked()
	delete(msg.Headers, headerDue)
	return msg
}

// parked is message with what it carries while it is parked.
func (a *arrival) parked() broker.Message {
	p := propertyReader{rest: a.text[a.header:]}
	msg := p.message()
	if p.err != nil {
		msg = broker.Message{Headers: broker.Table{HeaderUnreadable: p.err.Error()}, Transient: true}
	}
	msg.Body = a.body
	return msg
}

// propertyReader reads the properties of a content header, in the order in which they come.
type propertyReader struct {
	flags uint16
	rest  string
	err   error
}

func (p *propertyReader) message() broker.Message {
	if p.open(); p.err != nil {
		return broker.Message{}
	}
	var msg broker.Message
	msg.ContentType = p.short(flagType)
	msg.ContentEncoding = p.short(flagEncoding)
	msg.Headers = p.table()
	msg.Transient = p.octet(flagMode) != amqp091.Persistent
	msg.Priority = p.octet(flagPriority)
	msg.CorrelationID = p.short(flagCorrelation)
	msg.ReplyTo = p.short(flagReplyTo)
	msg.Expiration = parseExpiration(p.short(flagExpiration))
	msg.MessageID = p.short(flagMessageID)
	msg.Timestamp = p.time()
	msg.Type = p.short(flagKind)
	_ = p.short(flagUser)
	msg.AppID = p.short(flagApp)
	_ = p.short(flagLast)
	return msg
}

// open reads the fixed part.
func (p *propertyReader) open() {
	if len(p.rest) < headerFixed {
		p.err = errTruncated
		return
	}
	p.flags = uint16At(p.rest, flagsAt)
	if p.flags&flagContinued != 0 {
		p.err = errContinued
	}
	p.rest = p.rest[headerFixed:]
}

// next cuts off a property of the size; it is empty when the property is not there or cut short.
func (p *propertyReader) next(size int) string {
	if p.err != nil {
		return ""
	}
	if size > len(p.rest) {
		p.err = errTruncated
		return ""
	}
	cut := p.rest[:size]
	p.rest = p.rest[size:]
	return cut
}

func (p *propertyReader) short(flag uint16) string {
	if p.flags&flag == 0 {
		return ""
	}
	if size := p.next(1); size != "" {
		return p.next(int(size[0]))
	}
	return ""
}

func (p *propertyReader) octet(flag uint16) uint8 {
	if p.flags&flag == 0 {
		return 0
	}
	if b := p.next(1); b != "" {
		return b[0]
	}
	return 0
}

func (p *propertyReader) time() time.Time {
	if p.flags&flagTimestamp == 0 {
		return time.Time{}
	}
	if b := p.next(8); b != "" {
		return readTime(b, 0)
	}
	return time.Time{}
}

// table reads the header table, which is nil when there is none.
func (p *propertyReader) table() broker.Table {
	if p.flags&flagHeaders == 0 || p.err != nil {
		return nil
	}
	size, err := blockSize(p.rest, 0)
	if err != nil {
		p.err = err
		return nil
	}
	table, err := readTable(p.next(size)[4:], 0)
	if err != nil {
		return broker.Table{HeaderUnreadable: err.Error()}
	}
	return table
}

// parseExpiration reads the property expiration: milliseconds; 0 when it makes no sense.
func parseExpiration(text string) time.Duration {
	if text == "" {
		return 0
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms > int64(maxExpiration/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
