package accessrecord

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// copy stores entries of different task ids in one transaction: the ledger says which are new, and those go into the table by COPY. The
// columns that a visit does not have get their defaults.
func (p *postgres) copy(ctx context.Context, c *pgx.Conn, entries []*entry) error {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, p.tables.enter(), ids)
		if err != nil {
			return err
		}
		fresh, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(fresh) == 0 {
			return err
		}
		_, err = c.PgConn().CopyFrom(ctx, p.lines(entries, fresh), p.tables.copy())
		return err
	})
}

// lines are the entries of the fresh ids in the text format of COPY, which every type of column can read.
func (p *postgres) lines(entries []*entry, fresh []string) *bytes.Reader {
	isFresh := make(map[string]bool, len(fresh))
	for _, id := range fresh {
		isFresh[id] = true
	}
	escape := strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)
	var b bytes.Buffer
	for _, e := range entries {
		if !isFresh[e.id] {
			continue
		}
		v := e.visit
		for _, text := range []string{v.Path, v.QueryStr, v.Address, v.UserAgent, v.Referer} {
			_, _ = escape.WriteString(&b, text) // a buffer takes everything
			b.WriteByte('\t')
		}
		b.WriteString(p.clock(v.ATime).Format(copyTime))
		b.WriteByte('\t')
		_, _ = escape.WriteString(&b, v.Source)
		b.WriteByte('\n')
	}
	return bytes.NewReader(b.Bytes())
}

// copyTime is a time that PostgreSQL reads whatever its DateStyle; a column without time zone leaves the last part out. Zones of long ago
// have seconds.
const copyTime = time.DateTime + ".999999-07:00:00"

// insertEach stores entries in one transaction, by a statement each, without waiting for one before the next is sent.
func (p *postgres) insertEach(ctx context.Context, c *pgx.Conn, entries []*entry) error {
	batch := &pgx.Batch{}
	for _, e := range entries {
		batch.Queue(p.tables.insert, p.values(e)...)
	}
	return c.SendBatch(ctx, batch).Close()
}
