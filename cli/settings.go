package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/worker"
)

// settings is the one table behind flags, variables, files, `config` and the help texts.
func settings() config.Table {
	return slices.Concat(config.Table{
		{
			Name: "broker_url", Kind: config.URL, Flag: "broker", Short: "b", Secret: true, Aliases: []string{"CELERY_BROKER_URL"},
			Help: "broker: amqp://user:password@host:5672/vhost, amqps://…, sqlite:///path; none means the embedded store",
		},
		{
			Name: "result_backend", Kind: config.URL, Flag: "result-backend", Secret: true, Aliases: []string{"CELERY_RESULT_BACKEND"},
			Check: checkResultBackend,
			Help:  "where outcomes go: rpc://, redis://…, rediss://…, postgres://…, sqlite:///path or disabled://; none means what fits the broker",
		},
		{
			Name: "result_expires", Kind: config.Seconds, Default: "86400", Hint: "seconds",
			Help: "how long outcomes are kept; 0 means for ever",
		},
		{Name: "result_persistent", Kind: config.Switch, Default: "false", Help: "let the answers of rpc:// survive a restart of the broker"},
		{
			Name: "result_backend_transport_options.global_keyprefix", Hint: "prefix",
			Help: "what comes before every key in Redis; a _ follows it unless it ends in one of :_-.",
		},
		{
			Name: "limit_store", Kind: config.URL, Secret: true,
			Help: "where locks, unique tasks and limits of all workers are kept: redis://…, rediss://…, postgres://…, sqlite:///path or " +
				"disabled://; none means what the workers share already",
		},
		{Name: "default_queue", Default: "celery", Hint: "name", Help: "queue of tasks that name none"},
		{
			Name: "inherit_priority", Kind: config.Switch, Default: "false",
			Help: "tasks that are sent by a task have its priority, unless they have their own",
		},
		{
			Name: "errbacks_on_header", Kind: config.Switch, Default: "false",
			Help: "what is called when a chord fails is called for each failed task of its header, too",
		},
		{
			Name: "queue_type", Flag: "queue-type", Choices: []string{"classic", "quorum"}, Hint: "type",
			Help: "type of the queues that are declared on RabbitMQ: classic or quorum; none leaves it to the server, as Celery does",
		},
		{
			Name: "declare", Flag: "declare", Default: string(broker.DeclareAuto), Hint: "mode",
			Choices: []string{string(broker.DeclareAuto), string(broker.DeclarePassive), string(broker.DeclareNever)},
			Help:    "auto creates the queues that are missing; passive uses those that exist, as they are; never does not even look",
		},
		{
			Name: "delays", Default: string(amqp.DelaysOwn), Choices: []string{string(amqp.DelaysOwn), string(amqp.DelaysCelery)},
			Help: "queues of RabbitMQ in which delayed tasks wait: taskq's own, or those of Celery 5.5 for exchanges that are not direct",
		},
	}, routingSettings(), outboxSettings(), messageSettings(), logSettings(), workerSettings(), taskSettings())
}

func logSettings() []config.Key {
	return []config.Key{
		{
			Name: "log.level", Flag: "loglevel", Short: "l", Default: "info", Aliases: []string{"CELERY_WORKER_LOGLEVEL"}, Hint: "level",
			Choices: []string{"debug", "info", "warning", "warn", "error", "critical", "fatal"},
			Help:    "debug, info, warning, error or critical",
		},
		{
			Name: "log.format", Flag: "log-format", Default: "text", Choices: []string{"text", "json"}, Hint: "format",
			Help: "text, in Celery's words, or json",
		},
	}
}

func workerSettings() []config.Key {
	return []config.Key{
		{
			Name: "worker.pool", Flag: "pool", Short: "P", Default: string(pool.Goroutines), Check: checkPool, Hint: "kind",
			Help: "what runs the tasks: solo, threads or goroutines",
		},
		{
			Name: "worker.concurrency", Kind: config.Int, Flag: "concurrency", Short: "c", Aliases: []string{"CELERY_WORKER_CONCURRENCY"},
			Help: "tasks that run at once; 0 means one per CPU (solo: one)",
		},
		{
			Name: "worker.queues", Kind: config.List, Flag: "queues", Short: "Q", Aliases: []string{"CELERY_WORKER_QUEUES"},
			Help: "queues to take tasks from, with commas between them, each with its weight if it has one, as in high:5,low:1; none means the default queue",
		},
		{
			Name: "worker.queue_order", Flag: "queue-order", Default: string(worker.Fair), Hint: "order",
			Choices: []string{string(worker.Fair), string(worker.Strict)},
			Help:    "fair takes from all queues, by their weights; strict from one only while those before it are empty",
		},
		{
			Name: "worker.consumer_priority", Flag: "consumer-priority", Default: "0", Hint: "number", Check: checkNumber,
			Help: "RabbitMQ's x-priority: workers with a lower one get tasks only when those with a higher one take none",
		},
		{
			Name: "worker.direct", Kind: config.Switch, Flag: "direct", Default: "false", Aliases: []string{"CELERY_WORKER_DIRECT"},
			Help: "consume the worker's own queue <node name>.dq2, too, as Celery's worker_direct does",
		},
		{Name: "worker.exclude_queues", Kind: config.List, Flag: "exclude-queues", Short: "X", Help: "queues to leave out"},
		{
			Name: "worker.hostname", Flag: "hostname", Short: "n", Aliases: []string{"CELERY_WORKER_HOSTNAME"}, Hint: "name",
			Help: "node name; %h is the host, %n its first part, %d its domain (default celery@%h)",
		},
		{
			Name: "worker.prefetch_multiplier", Kind: config.Int, Flag: "prefetch-multiplier", Aliases: []string{"CELERY_WORKER_PREFETCH_MULTIPLIER"},
			Help: "deliveries to hold for each task that can run; 0 means 2",
		},
		{
			Name: "worker.batch", Kind: config.List, Flag: "batch", Hint: "task=size,wait", Check: checkBatches,
			Help: "collect calls of a task, which must be able to run several at once: up to size of them, wait seconds after the first at the latest",
		},
		{
			Name: "worker.time_limit", Kind: config.Seconds, Flag: "time-limit", Aliases: []string{"CELERY_WORKER_TIME_LIMIT"},
			Help: "give a task up after so long; 0 means never",
		},
		{
			Name: "worker.soft_time_limit", Kind: config.Seconds, Flag: "soft-time-limit", Aliases: []string{"CELERY_WORKER_SOFT_TIME_LIMIT"},
			Help: "cancel a task's context after so long; 0 means never",
		},
		{
			Name: "worker.delivery_timeout", Kind: config.Seconds, Flag: "delivery-timeout",
			Help: "RabbitMQ's consumer_timeout, which cannot be asked for: a delivery unacknowledged for so long comes again; 0 means 1800",
		},
		{
			Name: "worker.shutdown_timeout", Kind: config.Seconds, Flag: "shutdown-timeout",
			Help: "how long a warm shutdown waits for running tasks; 0 means until they are done",
		},
		{
			Name: "worker.dead_letters", Kind: config.Switch, Flag: "dead-letters", Default: "false",
			Help: "keep rejected messages in a queue <name>.dead, and run those that kill their worker from <name>.quarantine",
		},
		{
			Name: "worker.delivery_limit", Kind: config.Int, Flag: "delivery-limit", Default: "3",
			Help: "workers that a message may kill before it is a dead letter; at least 2; only with --dead-letters",
		},
		{
			Name: "worker.track_started", Kind: config.Switch, Flag: "track-started", Default: "false",
			Help: "store the state STARTED when a task begins, as Celery's task_track_started does",
		},
		{
			Name: "worker.result_extended", Kind: config.Switch, Flag: "result-extended", Default: "false",
			Help: "store with each outcome the task's name, arguments, worker, retries and queue, as Celery's result_extended does",
		},
		{
			Name: "worker.disable_rate_limits", Kind: config.Switch, Default: "false", Aliases: []string{"CELERY_WORKER_DISABLE_RATE_LIMITS"},
			Help: "let tasks start as often as they come, whatever their rate limits say",
		},
		{
			Name: "worker.enable_remote_control", Kind: config.Switch, Default: "true",
			Help: "hear commands of other programs, such as those to revoke tasks",
		},
		{
			Name: "worker.state_db", Flag: "statedb", Short: "S", Aliases: []string{"CELERY_WORKER_STATEDB"}, Hint: "path",
			Help: "file that keeps across restarts what was revoked; none: beside the embedded store, or in $STATE_DIRECTORY; off switches it off",
		},
		{
			Name: "worker.revokes_max", Kind: config.Int, Default: "50000", Aliases: []string{"CELERY_WORKER_REVOKES_MAX"},
			Help: "how many revoked tasks are remembered, the latest ones",
		},
		{
			Name: "worker.revoke_expires", Kind: config.Seconds, Default: "10800", Aliases: []string{"CELERY_WORKER_REVOKE_EXPIRES"},
			Help: "how long a revoked task is remembered",
		},
	}
}

// checkNumber takes negative ones, too.
func checkNumber(text string) error {
	if _, err := strconv.Atoi(strings.TrimSpace(text)); err != nil {
		return fmt.Errorf("%q is not a whole number", text)
	}
	return nil
}

func checkPool(name string) error {
	_, _, err := pool.ParseKind(strings.ToLower(name))
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimPrefix(err.Error(), "pool: "))
}

// checkResultBackend explains what to write in place of Celery's names for stores, which are no URLs.
func checkResultBackend(text string) error {
	switch {
	case text == "django-db":
		return errors.New("django-db stands for the database of a Django site: give its URL, postgres://user@host/name")
	case !strings.Contains(text, ":"):
		return errors.New("not a URL: use rpc://, redis://host:6379/0, postgres://user@host/name, sqlite:///path, memory:// or disabled://")
	}
	return nil
}
