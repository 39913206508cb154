package broker_test

import (
	"reflect"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
)

func TestTaskQueuesAreDeclaredAsCeleryDoes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]broker.Binding{
		"math":          {Exchange: "math", Queue: "math", Key: "math"},
		"w9@h2host.dq2": {Exchange: "C.dq2", Queue: "w9@h2host.dq2", Key: "w9@h2host"},
	} {
		got := broker.TaskQueue(broker.Queue{Name: name})
		if !reflect.DeepEqual(got.Bindings, []broker.Binding{want}) || got.Exchanges[0].Name != want.Exchange {
			t.Errorf("topology of %s = %+v, want the binding %+v", name, got, want)
		}
	}
}
