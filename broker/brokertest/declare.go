package brokertest

import (
	"errors"

	"github.com/seed-399731e2/taskq/broker"
)

func declareClaims() []claim {
	return []claim{
		{"DeclareTwiceIsOnce", declareTwice},
		{"DeclareWithOtherArgumentsNamesTheQueue", declareQueueClash},
		{"DeclareSaysWhichPropertyDiffers", declareClashOfEachProperty},
		{"DeclareWithOtherKindNamesTheExchange", declareExchangeClash},
		{"DeclareUnderstandsNumbersOfAnyWidth", declareNumbers},
		{"PassiveDeclareOfAMissingQueueFails", declarePassive},
		{"PassiveDeclareIgnoresProperties", declarePassiveExisting},
		{"BindingAMissingQueueFails", declareBindingMissing},
		{"ExclusiveQueueBelongsToItsConnection", declareExclusive},
		{"DeleteQueueTwiceIsOnce", deleteTwice},
	}
}

func declareTwice(f *fixture) {
	topology := broker.TaskQueue(broker.Queue{Name: f.name(), MaxPriority: 5})
	topology.Exchanges[0].AutoDelete = true
	f.declare(topology)
	queue := topology.Queues[0].Name
	f.publish(queue, "kept")
	if err := f.open().Declare(f.Context(), topology); err != nil {
		f.Fatalf("declare again: %v", err)
	}
	f.waiting(queue, 1)
	f.publishTo(broker.Address{Exchange: queue, RoutingKey: queue}, broker.Message{})
	f.waiting(queue, 2) // bound twice, routed once
}

func declareQueueClash(f *fixture) {
	name := f.queue(broker.Queue{})
	clash := broker.Queue{Name: name, Arguments: broker.Table{broker.ArgMessageTTL: int32(60000)}}
	f.publish(name, "still works")
	f.waiting(name, 1)
	err := f.Declare(f.Context(), broker.Topology{Queues: []broker.Queue{clash}})
	got := f.isClash(err, "queue", name)
	f.differs(got, broker.ArgMessageTTL, "60000", broker.NotSet)
	if got.Messages != 1 {
		f.Errorf("messages in the existing queue = %d, want 1", got.Messages)
	}
	f.publish(name, "still works")
	f.waiting(name, 2)
}

func declareClashOfEachProperty(f *fixture) {
	for _, tt := range []struct {
		existing, asked          broker.Queue
		argument, wanted, exists string
	}{
		{broker.Queue{MaxPriority: 10}, broker.Queue{}, broker.ArgMaxPriority, broker.NotSet, "10"},
		{broker.Queue{MaxPriority: 10}, broker.Queue{MaxPriority: 5}, broker.ArgMaxPriority, "5", "10"},
		{broker.Queue{}, broker.Queue{Transient: true}, "durable", "false", "true"},
		{broker.Queue{}, broker.Queue{AutoDelete: true}, "auto_delete", "true", "false"},
		{broker.Queue{Type: broker.Quorum}, broker.Queue{}, broker.ArgQueueType, broker.NotSet, "quorum"},
		{broker.Queue{Type: broker.Quorum}, broker.Queue{Type: broker.Classic}, broker.ArgQueueType, "classic", "quorum"},
		{
			broker.Queue{Arguments: broker.Table{broker.ArgDeadLetterExchange: ""}},
			broker.Queue{},
			broker.ArgDeadLetterExchange, broker.NotSet, "",
		},
	} {
		tt.asked.Name = f.queue(tt.existing)
		err := f.Declare(f.Context(), broker.Topology{Queues: []broker.Queue{tt.asked}})
		f.differs(f.isClash(err, "queue", tt.asked.Name), tt.argument, tt.wanted, tt.exists)
	}
}

func (f *fixture) differs(clash *broker.DeclareError, argument, asked, existing string) {
	f.Helper()
	if clash.Argument != argument || clash.Asked != asked || clash.Existing != existing || clash.Vhost == "" || clash.Locked {
		f.Errorf("clash = %+v, want %s: asked for %q, existing %q, and a vhost", clash, argument, asked, existing)
	}
}

func declareExchangeClash(f *fixture) {
	topology := broker.TaskQueue(broker.Queue{Name: f.name()})
	topology.Exchanges[0].AutoDelete = true
	f.declare(topology)
	topology.Exchanges[0].Kind = broker.Topic
	clash := f.isClash(f.Declare(f.Context(), topology), "exchange", topology.Exchanges[0].Name)
	f.differs(clash, "type", "topic", "direct")
	if clash.Messages != -1 {
		f.Errorf("messages in an exchange = %d, want -1", clash.Messages)
	}
}

func (f *fixture) isClash(err error, object, name string) *broker.DeclareError {
	f.Helper()
	var clash *broker.DeclareError
	if !errors.As(err, &clash) {
		f.Fatalf("declare = %v, want a *broker.DeclareError", err)
	}
	if clash.Object != object || clash.Name != name {
		f.Errorf("clash about %s %q, want %s %q", clash.Object, clash.Name, object, name)
	}
	return clash
}

func declareNumbers(f *fixture) {
	name := f.queue(broker.Queue{Arguments: broker.Table{broker.ArgMessageTTL: int32(60000)}})
	same := broker.Queue{Name: name, Arguments: broker.Table{broker.ArgMessageTTL: int64(60000)}}
	if err := f.Declare(f.Context(), broker.Topology{Queues: []broker.Queue{same}}); err != nil {
		f.Errorf("declare with int64 for int32: %v", err)
	}
}

func declarePassive(f *fixture) {
	missing := broker.Topology{Queues: []broker.Queue{{Name: f.name()}}, Passive: true}
	f.is(f.Declare(f.Context(), missing), broker.ErrNoQueue, "passive declare of a missing queue")
	_, err := f.Measure(f.Context(), missing.Queues[0].Name)
	f.is(err, broker.ErrNoQueue, "measure after the passive declare")
	exchange := broker.Topology{Exchanges: []broker.Exchange{{Name: f.name(), Kind: broker.Direct}}, Passive: true}
	if err := f.Declare(f.Context(), exchange); err == nil {
		f.Error("passive declare of a missing exchange succeeded")
	}
}

func declarePassiveExisting(f *fixture) {
	name := f.queue(broker.Queue{MaxPriority: 5})
	passive := broker.Topology{Queues: []broker.Queue{{Name: name}}, Passive: true}
	if err := f.Declare(f.Context(), passive); err != nil {
		f.Errorf("passive declare with other properties: %v", err)
	}
}

func declareBindingMissing(f *fixture) {
	exchange := f.name()
	f.declare(broker.Topology{
		Exchanges: []broker.Exchange{{Name: exchange, Kind: broker.Direct, AutoDelete: true}},
		Queues:    []broker.Queue{{Name: exchange}},
		Bindings:  []broker.Binding{{Exchange: exchange, Queue: exchange, Key: "k"}},
	})
	missing := broker.Binding{Exchange: exchange, Queue: f.name(), Key: "k"}
	f.is(f.Declare(f.Context(), broker.Topology{Bindings: []broker.Binding{missing}}), broker.ErrNoQueue, "bind a missing queue")
}

func declareExclusive(f *fixture) {
	topology := broker.Topology{Queues: []broker.Queue{{Name: f.name(), Exclusive: true, AutoDelete: true}}}
	queue := topology.Queues[0].Name
	owner := f.open()
	if err := owner.Declare(f.Context(), topology); err != nil {
		f.Fatalf("declare: %v", err)
	}
	c := f.consume(owner, 1, queue)
	f.publish(queue, "from another connection")
	f.settle(f.nextBody(c, "from another connection"), broker.Ack)
	if clash := f.isClash(f.Declare(f.Context(), topology), "queue", queue); !clash.Locked {
		f.Errorf("clash = %+v, want it locked", clash)
	}
	if err := owner.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.gone(queue)
}

// gone waits until the queue does not exist. It asks by publishing, because measuring counts as use of the queue.
func (f *fixture) gone(queue string) {
	f.Helper()
	f.eventually(func() bool {
		err := f.Publish(f.Context(), broker.Address{RoutingKey: queue}, broker.Message{})
		return errors.Is(err, broker.ErrUnroutable)
	}, "the queue is still there")
}

func deleteTwice(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "lost with its queue")
	for range 2 {
		if err := f.DeleteQueue(f.Context(), queue); err != nil {
			f.Fatalf("delete: %v", err)
		}
	}
	_, err := f.Measure(f.Context(), queue)
	f.is(err, broker.ErrNoQueue, "measure a deleted queue")
}
