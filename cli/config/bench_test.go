package config_test

import (
	"testing"

	"github.com/seed-399731e2/taskq/cli/config"
)

// BenchmarkScrub measures what each line of the log goes through.
func BenchmarkScrub(b *testing.B) {
	values, err := table().Load(config.Sources{LookupEnv: env("TASKQ_BROKER_URL", "amqp://user:secret@host/")})
	if err != nil {
		b.Fatal(err)
	}
	line := "[2026-11-22 11:11:25,123: INFO/MainProcess] Task proj.tasks.add[516612f5-d46e-471a-8559-20b86da2b364] received\n"
	b.ReportAllocs()
	for b.Loop() {
		if values.Scrub(line) != line {
			b.Fatal("the line has no secret")
		}
	}
}
