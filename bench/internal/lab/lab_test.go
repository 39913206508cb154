package lab_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/message"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// variable names the fault of the program that the tests run as a subject: this one.
const variable = "LAB_TEST_FAULT"

// TestMain is a subject when the environment says so.
func TestMain(m *testing.M) {
	if fault, ok := os.LookupEnv(variable); ok {
		subject.Main("faulty", subject.Roles{
			Work: func(ctx context.Context, j *subject.Job) error { return work(ctx, j, fault) },
			Open: func(_ context.Context, j *subject.Job) (subject.Sender, error) { return open(j, fault) },
		})
		return
	}
	os.Exit(m.Run())
}

// victim is the task that faulty subjects do not treat as they should.
const victim = 7

// work is a worker with a fault.
func work(ctx context.Context, j *subject.Job, fault string) error {
	if fault == "does not start" {
		return errors.New("no luck today")
	}
	conn, err := amqp091.Dial(j.Broker)
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, j.Queues[0], "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	j.Ready()
	for x := 0; ; x++ { // one consumer of a queue that was filled by two channels gets the tasks in some order, all of them once
		select {
		case d, ok := <-deliveries:
			if !ok {
				return nil
			}
			if err := serve(j, d, x, fault); err != nil {
				return err
			}
		case <-ctx.Done():
			if fault == "does not end" {
				<-make(chan struct{})
			}
			return nil
		}
	}
}

func serve(j *subject.Job, d amqp091.Delivery, x int, fault string) error {
	if x == victim && fault == "dies" {
		return errors.New("no luck today")
	}
	if x != victim || fault != "loses a task" {
		if _, err := j.Add(x, 2); err != nil {
			return err
		}
	}
	if x == victim && fault == "runs a task twice" {
		if _, err := j.Add(x, 2); err != nil {
			return err
		}
	}
	if x == victim && fault == "leaves a task in the queue" {
		return nil
	}
	return d.Ack(false)
}

// sender publishes, but for its victim.
type sender struct {
	job   *subject.Job
	conn  *amqp091.Connection
	fault string
}

func open(j *subject.Job, fault string) (subject.Sender, error) {
	conn, err := amqp091.Dial(j.Broker)
	return &sender{j, conn, fault}, err
}

func (s *sender) Send(ctx context.Context, first, end int) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if err := ch.Confirm(false); err != nil {
		return err
	}
	for i := first; i < end; i++ {
		if s.fault == "loses a task" && i == victim {
			continue
		}
		m, err := message.New(s.job.Order, "").Publishing(i)
		if err != nil {
			return err
		}
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", s.job.Queue(i), false, false, m)
		if err != nil {
			return err
		}
		c.Wait()
	}
	return nil
}

func (s *sender) Close() error { return s.conn.Close() }

// tasks is how many each test measures.
const tasks = 50

func faulty(fault string) lab.Case {
	return lab.Case{
		Scenario: result.Drain, Tasks: tasks, Order: order.Order{Mode: order.Each, Senders: 1},
		Subject: lab.Subject{Name: "faulty", Setting: fault, Command: []string{os.Args[0]}, Broker: lab.RabbitMQ, Env: []string{variable + "=" + fault}},
	}
}

func measuring(t *testing.T) *lab.Lab {
	t.Helper()
	testserver.AMQP(t) // it is there, or the test ends
	return newLab(t, lab.Config{Servers: lab.FromEnvironment(), Patience: 3 * time.Second})
}

func TestADrainThatCannotBeProvedIsNoMeasure(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]string{
		"loses a task":               "49 of 50 tasks ran",
		"leaves a task in the queue": "1 messages in [celery], want 0",
		"dies":                       "it ended when 7 of 50 tasks had run: exit status 1\nfaulty: no luck today",
		"does not start":             "it ended before it could be ready: exit status 1\nfaulty: no luck today",
		"does not end":               "did not end within 3s and was killed",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			l := measuring(t)
			m, err := l.Drain(t.Context(), faulty(fault))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("measure %s, error = %v, want one that says %q", lab.Brief(m), err, want)
			}
			measures := l.InTurn(t.Context(), lab.Plan{Rounds: 1}, func(context.Context, lab.Case) (result.Measure, error) { return m, err }, faulty(fault))
			if len(measures) != 1 || !strings.Contains(measures[0].Failed, want) || measures[0].Rate != 0 {
				t.Errorf("measures = %+v, want a failed one", measures)
			}
		})
	}
}

func TestATaskThatRanTwiceIsReported(t *testing.T) {
	t.Parallel()
	m, err := measuring(t).Drain(t.Context(), faulty("runs a task twice"))
	if err != nil || m.Tasks != tasks || m.Twice != 1 {
		t.Errorf("measure = %s, %v; want 1 of %d twice", lab.Brief(m), err, tasks)
	}
}

func TestMessagesThatWereNotSentAreMissed(t *testing.T) {
	t.Parallel()
	if m, err := measuring(t).Send(t.Context(), faulty("")); err != nil || m.Tasks != tasks || m.Rate <= 0 {
		t.Errorf("measure = %s, %v", lab.Brief(m), err)
	}
	_, err := measuring(t).Send(t.Context(), faulty("loses a task"))
	if err == nil || !strings.Contains(err.Error(), "49 messages in [celery], want 50") {
		t.Errorf("error = %v, want the missing message", err)
	}
}

func TestADrainIsAccountedFor(t *testing.T) {
	t.Parallel()
	l := measuring(t)
	c := lab.Case{
		Scenario: result.Drain, Tasks: 3000, Order: order.Order{Prefetch: 64},
		Subject: lab.Subject{Name: result.Bare, Broker: lab.RabbitMQ},
	}
	for _, workers := range []int{1, 2} {
		c.Workers = workers
		m, err := l.Drain(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if m.Tasks != c.Tasks || m.Twice != 0 || m.Rate <= 0 || m.Allocs < 1 {
			t.Errorf("%d workers: %s", workers, lab.Brief(m))
		}
		if runtime.GOOS == "linux" && (m.CPU[result.OfSubject] <= 0 || m.Memory < 1<<20) {
			t.Errorf("%d workers: %s: CPU or memory is missing", workers, lab.Brief(m))
		}
	}
}

func TestResultsAreCounted(t *testing.T) {
	t.Parallel()
	l := measuring(t)
	c := lab.Case{
		Scenario: result.Drain, Tasks: 200, Order: order.Order{Prefetch: 64}, Results: lab.ResultsRPC,
		Subject: lab.Subject{Name: result.Bare, Broker: lab.RabbitMQ},
	}
	if _, err := l.Drain(t.Context(), c); err != nil {
		t.Error(err)
	}
	silent := faulty("")
	silent.Results = lab.ResultsRPC
	want := fmt.Sprintf("0 messages in [replies], want %d", tasks)
	if _, err := l.Drain(t.Context(), silent); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want one that says %q", err, want)
	}
}

func TestWaitsAreMeasuredBetweenTwoProcesses(t *testing.T) {
	t.Parallel()
	c := faulty("")
	c.Order.Rate = 200
	m, err := measuring(t).Latency(t.Context(), c)
	if err != nil || m.Waits == nil || m.Waits.P50 <= 0 || m.Waits.P99 < m.Waits.P50 || m.Waits.P999 < m.Waits.P99 {
		t.Errorf("measure = %s, %v", lab.Brief(m), err)
	}
}

func TestAKilledWorkersTaskRunsElsewhere(t *testing.T) {
	t.Parallel()
	c := lab.Case{
		Scenario: result.Recovery, Tasks: 2, Order: order.Order{Work: order.Hold, Prefetch: 1},
		Subject: lab.Subject{Name: result.Bare, Broker: lab.RabbitMQ},
	}
	m, err := measuring(t).Recover(t.Context(), c)
	if err != nil || m.Tasks != 2 || m.Twice != 2 || m.Waits == nil || m.Waits.P50 <= 0 {
		t.Errorf("measure = %s, %v", lab.Brief(m), err)
	}
}
