package cli

import (
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/outbox"
)

// outboxSettings say where the outbox is, and what waits in it.
func outboxSettings() []config.Key {
	return []config.Key{
		{
			Name: "outbox_url", Kind: config.URL, Flag: "outbox", Secret: true,
			Help: "database with the outbox: postgres://user:password@host/name; none means that there is none",
		},
		{Name: "outbox_schema", Hint: "name", Help: "PostgreSQL schema of the outbox; none means the first of the search path that has it"},
		{Name: "outbox_table", Default: outbox.DefaultTable, Hint: "name", Help: "table of the outbox"},
		{
			Name: "outbox_relay", Kind: config.Switch, Default: "true",
			Help: "let workers send what is in the outbox, one of them at a time; false leaves it to `outbox relay`",
		},
		{
			Name: "delay_store_after", Kind: config.Seconds, Default: "1209600", Hint: "seconds",
			Help: "delay beyond which calls wait in the outbox rather than in the broker; 0 means all that have a delay",
		},
	}
}

// outbox fills in what the settings say of it.
func (s *Session) outbox(cfg *taskq.Config) {
	cfg.Outbox = s.outboxConfig()
	cfg.RelayElsewhere = !s.Config.On("outbox_relay")
	if cfg.DelayStoreAfter = s.Config.Seconds("delay_store_after"); cfg.DelayStoreAfter == 0 {
		cfg.DelayStoreAfter = -1
	}
}

func (s *Session) outboxConfig() outbox.Config {
	return outbox.Config{
		URL:     s.Config.Text("outbox_url"),
		Table:   outbox.Table{Schema: s.Config.Text("outbox_schema"), Name: s.Config.Text("outbox_table")},
		Timeout: outboxWait,
		Logger:  s.Log,
	}
}

// outboxWait bounds each statement.
const outboxWait = 10 * time.Second
