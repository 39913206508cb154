package control

import "github.com/seed-399731e2/taskq/task"

// Revoke is the command not to run the tasks (celery/app/control.py, revoke).
func Revoke(ids []string, how task.Revocation) Request {
	var id any = ids
	if len(ids) == 1 {
		id = ids[0]
	}
	return revocation("revoke", "task_id", id, how)
}

// RevokeByStamps is the command not to run the tasks that have one of the stamps: a value, or a list of values, by name
// (celery/app/control.py, revoke_by_stamped_headers).
func RevokeByStamps(stamps map[string]any, how task.Revocation) Request {
	return revocation("revoke_by_stamped_headers", "headers", stamps, how)
}

func revocation(method, argument string, what any, how task.Revocation) Request {
	signal := how.Signal
	if signal == "" {
		signal = "SIGTERM"
	}
	return Request{
		Method: method, Destination: how.Destination,
		Arguments: map[string]any{argument: what, "terminate": how.Terminate, "signal": signal},
	}
}
