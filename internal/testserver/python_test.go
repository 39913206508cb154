package testserver_test

import (
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

const adder = `
from celery import Celery

app = Celery("adder", backend="rpc://")

@app.task(name="adder.add")
def add(x, y):
    return x + y
`

func TestCeleryWorkerAnswersPythonClient(t *testing.T) {
	t.Parallel()
	python := testserver.NewPython(t, testserver.PythonConfig{
		Broker:  testserver.AMQPVhost(t),
		Modules: map[string]string{"adder.py": adder},
	})
	worker := python.Worker("adder", "-P", "solo")
	got := python.Run(`
import sys, adder
print(adder.add.delay(int(sys.argv[1]), 3).get(timeout=30))`, "2")
	if strings.TrimSpace(got) != "5" {
		t.Errorf("add(2, 3) = %q, want 5", got)
	}
	worker.WaitForLog("adder.add")
	worker.Stop()
	if strings.Contains(worker.Log(), "Traceback") {
		t.Errorf("the worker did not stop cleanly:\n%s", worker.Log())
	}
}
