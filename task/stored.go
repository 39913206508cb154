package task

// exception reads the exception that is stored as the result, also in the forms that Celery does not write but others may: without
// arguments, with one that is no list, as a bare text.
func (m Meta) exception() Exception {
	var stored any
	if err := m.codec().Unmarshal(m.Result, &stored); err != nil {
		stored = string(m.Result)
	}
	doc, ok := stored.(map[string]any)
	class, _ := doc["exc_type"].(string)
	switch {
	case stored == nil && m.State == Retried: // a retry without a reason
		return Exception{Type: "Retry", Module: "celery.exceptions"}
	case stored == nil:
		return Exception{Type: "Exception", Module: "builtins"}
	case !ok || class == "":
		return Exception{Type: "Exception", Module: "builtins", Message: []any{stored}}
	}
	exc := Exception{Type: class}
	exc.Module, _ = doc["exc_module"].(string)
	switch args := doc["exc_message"].(type) {
	case nil:
	case []any:
		exc.Message = args
	default:
		exc.Message = []any{args}
	}
	return exc.unwrapped()
}

// unwrapped returns the exception inside Celery's wrapper for those that Python could not pass on from process to process: its
// arguments are module, class, arguments and repr (celery/utils/serialization.py, UnpickleableExceptionWrapper).
func (x Exception) unwrapped() Exception {
	if x.Type != "UnpickleableExceptionWrapper" || len(x.Message) != 4 {
		return x
	}
	module, ok1 := x.Message[0].(string)
	class, ok2 := x.Message[1].(string)
	args, ok3 := x.Message[2].([]any)
	if !ok1 || !ok2 || !ok3 {
		return x
	}
	return Exception{Type: class, Module: module, Message: args}
}
