package taskq

import (
	"log/slog"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/codec/auth"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// Config is what an application is made of. The zero value uses the embedded store and Celery's names.
type Config struct {
	// BrokerURL says what carries the messages: amqp:// or amqps:// (several, separated by semicolons, are tried in turn),
	// sqlite:///path, memory:// (this process alone). "" is the embedded store: an SQLite file in the user's state directory.
	BrokerURL string
	// Broker is an open broker, in place of BrokerURL; Close closes it.
	Broker broker.Broker
	// Results is an open result store, in place of ResultBackend; Close closes it.
	Results result.Backend
	// ResultBackend says where outcomes go: rpc://, redis://user:password@host:6379/0 (rediss:// with TLS),
	// postgres://user:password@host/name (the tables of django-celery-results), sqlite:///path, memory://, disabled://. "" is what suits
	// the broker: rpc://
	// with AMQP, else the broker's own store.
	ResultBackend string
	// ResultExpires is how long outcomes are kept, Celery's result_expires; 0 means a day, negative means for ever. With rpc:// they are
	// not kept. In the database of a Django site 0 means until the site deletes them.
	ResultExpires time.Duration
	// ResultPersistent lets the answers of rpc:// survive a restart of the broker (result_persistent).
	ResultPersistent bool
	// ResultKeyPrefix comes before every key in Redis (global_keyprefix in Celery's result_backend_transport_options).
	ResultKeyPrefix string
	// LimitStore says where locks, unique tasks and limits that hold for all workers together are kept: redis://, rediss://, postgres://,
	// sqlite:///path, memory:// (this application alone), disabled://. "" is what all of them share already: the broker's own store,
	// else the Redis, database or file of the results; with neither it is disabled://. It is opened when it is needed. ResultKeyPrefix
	// comes before its keys in Redis, too.
	LimitStore string
	// DefaultQueue is where calls go that neither name a queue nor have a route, and what a worker consumes when there are no Queues; ""
	// means celery.
	DefaultQueue string
	// Queues of the application, with their exchanges, bindings and arguments. A worker that names none consumes all of them.
	Queues []Queue
	// MissingQueues are those that are named and not among Queues.
	MissingQueues MissingQueues
	// MaxPriority is x-max-priority for all queues that have none of their own, except for quorum queues, which take none
	// (task_queue_max_priority); 0 means none.
	MaxPriority uint8
	// Routes say where calls go that name no queue themselves.
	Routes Routes
	// Call holds the defaults of each call, for what neither the call nor its task's options say: Priority, IgnoreResult, ExpiresIn,
	// Publish, Serializer, Compression, … What belongs to one call, such as its id, its ETA and its links, is not taken from here.
	Call task.CallOptions
	// InheritPriority gives a task that is sent from within another one that one's priority, unless it has its own
	// (task_inherit_parent_priority).
	InheritPriority bool
	// ErrbacksOnHeader has what is called when a chord fails called for each failed task of its header, too
	// (task_allow_error_cb_on_chord_header).
	ErrbacksOnHeader bool
	// Accept are the serializers of the messages that are read, "json", "msgpack" and "auth", or their content types; nil means json.
	// All others are refused (accept_content). Replies to rpc:// may be JSON in any case.
	Accept []string
	// Auth are the keys and certificates for the serializer "auth"; the zero value is none.
	Auth auth.Config
	// Limits bound the messages that are read.
	Limits codec.Limits
	// QueueType of the queues that are declared; "" leaves it to the server (classic), as Celery does.
	QueueType broker.QueueType
	// Declare says what a worker and Send make sure of. "" and broker.DeclareAuto create the queues that are missing, as Celery does.
	// With broker.DeclarePassive nothing is created: each queue must exist, and is used as it is, whatever its properties. With
	// broker.DeclareNever nothing is asked for either: a queue that is missing shows when a worker consumes it or a call is
	// published to it; only that of a delayed call is looked up. The delay queues of RabbitMQ (countdown, ETA, retries)
	// must exist, and the queues be bound to taskq.delay.due. The queue that a process reads its results from with rpc:// is its own, and
	// declared in every mode.
	Declare broker.DeclareMode
	// Delays says in which queues of RabbitMQ delayed messages wait: "" and amqp.DelaysOwn mean taskq's; amqp.DelaysCelery shares those of
	// Celery 5.5 and newer, for queues of topic, fanout and headers exchanges.
	Delays amqp.Delays
	// DeliveryTimeout is RabbitMQ's consumer_timeout, which a client cannot ask for: how long a delivery may be unacknowledged before the
	// server takes it back. 0 means 30 min, the server's default. Workers warn of tasks that may take longer.
	DeliveryTimeout time.Duration
	// WaitForBroker makes the first use of a broker that is away wait and try again for ever, instead of failing; workers want it.
	// A broker that is there and refuses the credentials is an error all the same. For a result store it means the same.
	WaitForBroker bool
	// Exceptions say which Python exception stands for which Go error: what the tasks' errors become in Python, and what those of
	// Python tasks match here with errors.Is. See task.Exceptions for what is known without.
	Exceptions task.Exceptions
	// Outbox is the table in PostgreSQL that SendTx puts calls into. With its URL, workers send what is in it, and calls with a delay
	// beyond DelayStoreAfter wait in it for their time; SendTx itself needs no more than the table's name.
	Outbox outbox.Config
	// DelayStoreAfter is the delay beyond which a call waits in the outbox, where it can be seen and taken back at once, rather than in
	// the broker: 0 means 14 days, the longest of RabbitMQ's delay queues, negative every call with a delay. It means nothing without
	// Outbox.URL, nor for the retries of tasks.
	DelayStoreAfter time.Duration
	// RelayElsewhere keeps this application's workers from sending what is in the outbox: others do, or `taskq outbox relay`.
	RelayElsewhere bool
	Worker         worker.Options
	Logger         *slog.Logger // nil: slog.Default
}
