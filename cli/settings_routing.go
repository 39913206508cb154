package cli

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/task"
)

// routingSettings say which queues there are, and which calls go where.
func routingSettings() []config.Key {
	types := []string{string(broker.Classic), string(broker.Quorum)}
	return []config.Key{
		{
			Name: "queues", Kind: config.Tables, Fields: queueFields(),
			Help: "queues with their exchanges, bindings and arguments; a worker without -Q takes tasks from all of them",
		},
		{
			Name: "routes", Kind: config.Records, Fields: routeFields(),
			Help: "which tasks go to which queues, by their names; the first that fits",
		},
		{
			Name: "queue_max_priority", Kind: config.Int, Default: "0", Check: checkPriority, Aliases: []string{"CELERY_TASK_QUEUE_MAX_PRIORITY"},
			Help: "x-max-priority of all queues that have none of their own, quorum queues excepted; 0 means none",
		},
		{
			Name: "create_missing_queues", Kind: config.Switch, Default: "true", Aliases: []string{"CELERY_TASK_CREATE_MISSING_QUEUES"},
			Help: "create queues that are named and not among those of the configuration; false makes them an error",
		},
		{
			Name: "create_missing_queue_type", Choices: types, Hint: "type", Aliases: []string{"CELERY_TASK_CREATE_MISSING_QUEUE_TYPE"},
			Help: "type of such queues: classic or quorum; none means queue_type",
		},
		{
			Name: "create_missing_queue_exchange_type", Check: checkExchangeType, Hint: "type",
			Aliases: []string{"CELERY_TASK_CREATE_MISSING_QUEUE_EXCHANGE_TYPE"}, Help: "type of the exchanges of such queues; none means direct",
		},
	}
}

func queueFields() config.Table {
	return append(exchangeFields(),
		config.Key{Name: "routing_key", Check: checkShort},
		config.Key{Name: "bindings", Kind: config.Records, Fields: append(exchangeFields(),
			config.Key{Name: "routing_key", Check: checkShort}, config.Key{Name: "arguments", Kind: config.Map})},
		config.Key{Name: "type", Choices: []string{string(broker.Classic), string(broker.Quorum)}},
		config.Key{Name: "max_priority", Kind: config.Int, Check: checkPriority},
		config.Key{Name: "dead_letter_exchange", Check: checkShort},
		config.Key{Name: "dead_letter_routing_key", Check: checkShort},
		config.Key{Name: "message_ttl", Kind: config.Seconds},
		config.Key{Name: "expires", Kind: config.Seconds},
		config.Key{Name: "max_length", Kind: config.Int},
		config.Key{Name: "arguments", Kind: config.Map},
		config.Key{Name: "durable", Kind: config.Switch},
		config.Key{Name: "auto_delete", Kind: config.Switch},
		config.Key{Name: "broadcast", Kind: config.Switch},
	)
}

func exchangeFields() config.Table {
	return config.Table{
		{Name: "exchange", Check: checkShort},
		{Name: "exchange_type", Check: checkExchangeType},
		{Name: "exchange_durable", Kind: config.Switch},
		{Name: "exchange_auto_delete", Kind: config.Switch},
		{Name: "exchange_arguments", Kind: config.Map},
	}
}

func routeFields() config.Table {
	return config.Table{
		{Name: "match"},
		{Name: "regexp", Check: checkRegexp},
		{Name: "queue", Check: checkShort},
		{Name: "exchange", Check: checkShort},
		{Name: "routing_key", Check: checkShort},
		{Name: "priority", Kind: config.Int, Check: checkPriority},
		{Name: "expires", Kind: config.Seconds},
		{Name: "time_limit", Kind: config.Seconds},
		{Name: "soft_time_limit", Kind: config.Seconds},
		{Name: "ignore_result", Kind: config.Switch},
		{Name: "serializer", Check: checkSerializer},
		{Name: "compression", Check: checkCompression},
		{Name: "durable", Kind: config.Switch},
	}
}

func checkPriority(text string) error {
	if n, err := strconv.Atoi(text); err == nil && n > math.MaxUint8 {
		return fmt.Errorf("the priority %d is above 255", n)
	}
	return nil
}

func checkShort(text string) error {
	if len(text) > 255 {
		return fmt.Errorf("it has %d bytes, more than 255", len(text))
	}
	return nil
}

func checkExchangeType(text string) error {
	switch kind := broker.ExchangeKind(text); kind {
	case broker.Direct, broker.Topic, broker.Fanout, broker.Headers:
		return nil
	}
	if strings.HasPrefix(text, "x-") {
		return nil
	}
	return fmt.Errorf("%q is none of direct, topic, fanout, headers", text)
}

func checkRegexp(text string) error {
	_, err := regexp.Compile(text)
	return err
}

// routing puts the queues and routes of the settings into the configuration of an application.
func (s *Session) routing(cfg *taskq.Config) {
	for _, e := range s.Config.Entries("queues") {
		cfg.Queues = append(cfg.Queues, queueOf(e))
	}
	for _, e := range s.Config.Entries("routes") {
		cfg.Routes = append(cfg.Routes, routeOf(e))
	}
	cfg.MaxPriority = uint8(s.Config.Int("queue_max_priority")) //nolint:gosec // checked
	cfg.MissingQueues = taskq.MissingQueues{
		Refuse:       !s.Config.On("create_missing_queues"),
		Type:         broker.QueueType(strings.ToLower(s.Config.Text("create_missing_queue_type"))),
		ExchangeType: broker.ExchangeKind(s.Config.Text("create_missing_queue_exchange_type")),
	}
}

func queueOf(e config.Entry) taskq.Queue {
	q := taskq.Queue{
		Name: e.Name, Exchange: exchangeOf(e), RoutingKey: e.Text("routing_key"), Type: broker.QueueType(strings.ToLower(e.Text("type"))),
		MaxPriority:        uint8(e.Int("max_priority")), //nolint:gosec // checked
		DeadLetterExchange: e.Text("dead_letter_exchange"), DeadLetterRoutingKey: e.Text("dead_letter_routing_key"),
		MessageTTL: e.Seconds("message_ttl"), Expires: e.Seconds("expires"), MaxLength: e.Int("max_length"), Arguments: e.Map("arguments"),
		Transient: e.Given("durable") && !e.On("durable"), AutoDelete: e.On("auto_delete"), Broadcast: e.On("broadcast"),
	}
	for _, b := range e.Entries("bindings") {
		q.Bindings = append(q.Bindings, taskq.Binding{Exchange: exchangeOf(b), RoutingKey: b.Text("routing_key"), Arguments: b.Map("arguments")})
	}
	return q
}

func exchangeOf(e config.Entry) broker.Exchange {
	return broker.Exchange{
		Name: e.Text("exchange"), Kind: broker.ExchangeKind(e.Text("exchange_type")), Arguments: e.Map("exchange_arguments"),
		Transient: e.Given("exchange_durable") && !e.On("exchange_durable"), AutoDelete: e.On("exchange_auto_delete"),
	}
}

func routeOf(e config.Entry) taskq.Route {
	r := taskq.Route{
		Match: e.Text("match"), Regexp: e.Text("regexp"), Queue: e.Text("queue"), Exchange: e.Text("exchange"), RoutingKey: e.Text("routing_key"),
	}
	result, durability := task.KeepResult(), task.Transient()
	if e.On("ignore_result") {
		result = task.IgnoreResult()
	}
	if e.On("durable") {
		durability = task.Persistent()
	}
	for _, o := range []struct {
		field  string
		option task.CallOption
	}{
		{"priority", task.Priority(uint8(e.Int("priority")))}, //nolint:gosec // checked
		{"expires", task.ExpiresIn(e.Seconds("expires"))},
		{"time_limit", task.TimeLimit(e.Seconds("time_limit"))},
		{"soft_time_limit", task.SoftTimeLimit(e.Seconds("soft_time_limit"))},
		{"ignore_result", result},
		{"serializer", task.Serializer(e.Text("serializer"))},
		{"compression", task.Compression(e.Text("compression"))},
		{"durable", durability},
	} {
		if e.Given(o.field) {
			r.Options = append(r.Options, o.option)
		}
	}
	return r
}

// entryOf returns the table of the settings that an error of taskq.New is about.
func (s *Session) entryOf(err error) (config.Entry, bool) {
	for _, e := range s.Config.Entries("queues") {
		if strings.Contains(err.Error(), fmt.Sprintf("taskq: queue %q ", e.Name)) {
			return e, true
		}
	}
	for _, e := range s.Config.Entries("routes") {
		if strings.Contains(err.Error(), "taskq: "+e.Path+": ") {
			return e, true
		}
	}
	return config.Entry{}, false
}
