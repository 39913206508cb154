package task

import (
	"cmp"
	"maps"
)

// over returns the options with what they leave open taken from the defaults. A call that names a queue does not go to the exchange
// of its task, and the other way round; one that has only a routing key keeps it, for the queue or exchange of the defaults.
func (c CallOptions) over(d CallOptions) CallOptions {
	if c.Queue == "" && c.Exchange == "" {
		c.Queue, c.Exchange = d.Queue, d.Exchange
		c.RoutingKey = cmp.Or(c.RoutingKey, d.RoutingKey)
	}
	c.Shadow = cmp.Or(c.Shadow, d.Shadow)
	c.Serializer = cmp.Or(c.Serializer, d.Serializer)
	c.Compression = cmp.Or(c.Compression, d.Compression)
	c.ArgsRepr, c.KwargsRepr = cmp.Or(c.ArgsRepr, d.ArgsRepr), cmp.Or(c.KwargsRepr, d.KwargsRepr)
	c.Properties.AppID = cmp.Or(c.Properties.AppID, d.Properties.AppID)
	c.Properties.Type = cmp.Or(c.Properties.Type, d.Properties.Type)
	c.Detached = c.Detached || d.Detached
	c.Headers = under(c.Headers, d.Headers)

	open := func(option Given, zero bool) bool {
		if !zero || c.Given&option != 0 {
			return false
		}
		c.Given |= d.Given & option // a zero that the defaults ask for
		return true
	}
	if open(givenPriority, c.Priority == 0) {
		c.Priority = d.Priority
	}
	if open(givenExpiry, c.ExpiresIn == 0 && c.Expires.IsZero()) {
		c.ExpiresIn, c.Expires = d.ExpiresIn, d.Expires
	}
	if open(givenTimeLimit, c.TimeLimit == 0) {
		c.TimeLimit = d.TimeLimit
	}
	if open(givenSoftTimeLimit, c.SoftTimeLimit == 0) {
		c.SoftTimeLimit = d.SoftTimeLimit
	}
	if open(givenResult, !c.IgnoreResult) {
		c.IgnoreResult = d.IgnoreResult
	}
	if open(givenDelivery, !c.Transient) {
		c.Transient = d.Transient
	}
	if open(givenPublish, !c.FailFast && c.Publish == nil) {
		c.FailFast, c.Publish = d.FailFast, d.Publish
	}
	return c
}

// under adds to own what only the defaults have.
func under(own, defaults map[string]any) map[string]any {
	if len(defaults) == 0 {
		return own
	}
	all := maps.Clone(defaults)
	maps.Copy(all, own)
	return all
}
