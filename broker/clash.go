package broker

import "fmt"

// DeclareError says that a queue or exchange exists with other properties than those asked for (AMQP 406), or belongs to another
// connection (405).
type DeclareError struct {
	Object string // "queue" or "exchange"
	Name   string
	Vhost  string
	// Argument is the property that differs, by its name on the wire: durable, auto_delete, exclusive, type, or an argument such as
	// x-max-priority. "" when the broker named none.
	Argument string
	// Asked and Existing are its two values; NotSet stands for an argument that is left out.
	Asked, Existing string
	// Locked is set when the queue is exclusive to another connection.
	Locked bool
	// Messages is how many wait in the existing queue; -1 when that is not known, as for exchanges.
	Messages int
	Detail   string // the broker's own words; "" for brokers without a server
}

// NotSet is the value of an argument that is left out, in a DeclareError.
const NotSet = "none"

// Error says what clashes.
func (e *DeclareError) Error() string {
	head := fmt.Sprintf("broker: %s %q in vhost %q ", e.Object, e.Name, e.Vhost)
	switch {
	case e.Locked:
		return head + "is exclusive to another connection"
	case e.Argument == "":
		return head + "exists with other properties: " + e.Detail
	}
	return head + fmt.Sprintf("exists with %s, asked for %s", Property(e.Argument, e.Existing), Property(e.Argument, e.Asked))
}

// Property words one value of an argument: "x-max-priority 10", "no x-max-priority".
func Property(argument, value string) string {
	switch value {
	case NotSet:
		return "no " + argument
	case "":
		return "an empty " + argument
	}
	return argument + " " + value
}
