package workflow

import (
	"reflect"

	"github.com/seed-399731e2/taskq/task"
)

// inherited are the options of a workflow that hold for what it is made of: not those that say which one it is and what follows it.
func inherited(o task.CallOptions) task.CallOptions {
	o.ID, o.GroupID, o.GroupIndex, o.Chord, o.Detached = "", "", 0, nil, false
	o.Link, o.LinkError, o.Chain = nil, nil, nil
	o.Given &^= groupIndexGiven()
	return o
}

// groupIndexGiven marks an index that was set.
func groupIndexGiven() task.Given {
	var o task.CallOptions
	task.GroupIndex(0)(&o)
	return o.Given
}

// overlay lays the options that are set over others. As in Celery, a call keeps its stamps.
func overlay(o, over task.CallOptions) task.CallOptions {
	if reflect.ValueOf(&over).Elem().IsZero() {
		return o
	}
	if o.StampedHeaders != nil {
		over.StampedHeaders, over.Stamps = nil, nil
	}
	over.Given |= o.Given
	dst := reflect.ValueOf(&o).Elem()
	for field, value := range reflect.ValueOf(over).Fields() {
		if field.IsExported() && !value.IsZero() {
			dst.FieldByIndex(field.Index).Set(value)
		}
	}
	return o
}
