package result

// Scenarios. Each comment says which variants there are, and what of a measure is filled in besides Rate, CPU, Allocs and Memory.
const (
	// Drain empties a queue that was filled first. Variants: Headline, and one thing changed: "results=rpc", "results=redis",
	// "results=postgres", "events=on", "slots=1" … "slots=1000", "pool=solo" …, "queues=1" …, "names=1" … (kinds of tasks),
	// "queued=1k" … "queued=1M", "body=1 KB" … "body=1 MB".
	Drain = "drain"
	// Send sends while nothing consumes. Variants: SendSingle, SendMany, SendBatch.
	Send = "send"
	// Latency is the time from sending to starting (Waits) at a steady rate. Variants: "100/s", "half load".
	Latency = "latency"
	// Visit stores visits in PostgreSQL: consume, and a row each. Variants: VisitSingle, VisitBatch. The subjects Bare (consumes, stores
	// nothing) and Pgx (stores, consumes nothing) run at the same time; so do they in a variant of their own if they are measured apart.
	Visit = "visit"
	// Delay parks tasks that are due in an hour. Variants: DelayParking (Rate: parked per second; Figure: by how many MB the worker
	// grew), DelayOrdinary (Waits of tasks that are due at once and come meanwhile), DelayAlone (the same without parked tasks).
	Delay = "delay"
	// Recovery is the time from SIGKILL of a worker until its task runs elsewhere (Waits).
	Recovery = "recovery"
	// Embedded is the store in a file, with two processes. Variants: Headline (a drain), HandOver (Waits).
	Embedded = "embedded"
	// Start is the time from exec to ready (Figure, s).
	Start = "start"
	// Idle is a worker with nothing to do: Figure, % of one core; Memory, resident.
	Idle = "idle"
	// Binary is the size of the program (Figure, MB), as it is released: stripped.
	Binary = "binary"
	// Knobs are settings of taskq, one changed at a time: "prefetch=64" (in all), "GOGC=400", "queue=quorum", "pool=threads",
	// "log=warning", "slots=10", "workers=2", "batch=100", "send=window 1000", "results=rpc". They are shown on the page about tuning.
	Knobs = "knobs"
)

// Headline is the variant in which nothing is varied.
const Headline = ""

// Variants of Send, Visit, Delay and Embedded.
const (
	SendSingle = "1 sender, each confirmed"
	SendMany   = "64 senders, each confirmed"
	SendBatch  = "1 sender, pipelined"

	VisitSingle = "single"
	VisitBatch  = "batch"

	DelayParking  = "parking"
	DelayOrdinary = "ordinary task meanwhile"
	DelayAlone    = "ordinary task alone"

	HandOver = "hand-over"
)

// Parts of settings by which targets tell the settings of one subject apart, besides Celery's own names of its pools.
const (
	ConnectionKept    = "connection kept"     // from visit to visit
	ConnectionPerTask = "connection per task" // Django's default
	Prefetch64        = "prefetch 64"
)

// Subjects.
const (
	Bare      = "bare"
	Taskq     = "taskq"
	Celery    = "celery"
	Machinery = "machinery"
	Gocelery  = "gocelery"
	Asynq     = "asynq"
	River     = "river"
	Pgx       = "pgx"
)

// Processes, the keys of CPU.
const (
	OfSubject  = "subject"
	OfRabbitMQ = "rabbitmq"
	OfPostgres = "postgres"
	OfRedis    = "redis"
)
