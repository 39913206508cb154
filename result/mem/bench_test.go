package mem_test

import (
	"testing"

	"github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/result/resulttest"
)

func BenchmarkChords(b *testing.B) { resulttest.BenchmarkChords(b, mem.New(mem.Config{})) }
