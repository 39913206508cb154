package report

import (
	"fmt"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// summary is the headline in figures, for a sentence.
type summary struct {
	rate, cpu                     string
	toBare, toCelery              string
	cores                         int
	rabbitmq, celery, cpuOfCelery string
}

// summarise picks the figures; ok is false when one of them is missing.
func summarise(run result.Run) (s summary, ok bool) {
	ours, bare, celery := fastest(run, result.Taskq), fastest(run, result.Bare), fastest(run, result.Celery)
	cpu, cpuOfCelery := ours.CPU[result.OfSubject], celery.CPU[result.OfSubject]
	if ours.Rate == 0 || bare.Rate == 0 || celery.Rate == 0 || cpu == 0 || cpuOfCelery == 0 {
		return summary{}, false
	}
	return summary{
		rate: rate(ours.Rate), cpu: amount(cpu), toBare: ratio(ours.Rate / bare.Rate), toCelery: amount(ours.Rate / celery.Rate),
		cores: run.Machine.Cores, cpuOfCelery: amount(cpuOfCelery),
		rabbitmq: escape(run.Versions["RabbitMQ"]), celery: escape(run.Versions["Celery"]),
	}, true
}

// fastest is the fastest measure of a subject in the headline.
func fastest(run result.Run, subject string) (best result.Measure) {
	for _, m := range drain(result.Headline, subject, "").of(run) {
		if m.Rate > best.Rate {
			best = m
		}
	}
	return best
}

// english is the sentence in README.md.
func english(run result.Run) string {
	s, ok := summarise(run)
	if !ok {
		return "What taskq costs is [measured](docs/performance.md) against the bare AMQP client, Celery and other libraries."
	}
	return fmt.Sprintf("On %d cores that it shares with RabbitMQ %s, a worker runs %s tasks per second and takes %s µs of CPU for each. That is %s of the\n"+
		"rate of the bare AMQP client, and %s times that of Celery %s in its best pool, which takes %s µs. [How that is measured, and the rest](docs/performance.md).",
		s.cores, s.rabbitmq, s.rate, s.cpu, s.toBare, s.toCelery, s.celery, s.cpuOfCelery)
}

// chinese is the same in README.zh-CN.md.
func chinese(run result.Run) string {
	s, ok := summarise(run)
	if !ok {
		return "taskq 的开销与裸 AMQP 客户端、Celery 及其他库的对比，见[测量结果](docs/performance.md)。"
	}
	return fmt.Sprintf("在与 RabbitMQ %s 共用的 %d 个核心上，一个 worker 每秒执行 %s 个任务，每个任务占用 %s µs CPU。吞吐量是裸 AMQP 客户端的 %s 倍，\n"+
		"是 Celery %s 最快的池的 %s 倍（后者每个任务占用 %s µs）。[测量方法与其余数据](docs/performance.md)。",
		s.rabbitmq, s.cores, s.rate, s.cpu, s.toBare, s.celery, s.toCelery, s.cpuOfCelery)
}
