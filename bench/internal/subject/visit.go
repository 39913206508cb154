package subject

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// mostConnections bounds the connections of a subject with many slots: the database has a limit, and two cores.
const mostConnections = 32

// Visit is the argument of the task access_record, and a row of the table of that name.
type Visit struct {
	Path      string    `json:"path"` // /N/, where N is the number of the task
	QueryStr  string    `json:"query_str"`
	Address   string    `json:"address"`
	UserAgent string    `json:"user_agent"`
	Referer   string    `json:"referer"`
	ATime     time.Time `json:"atime"`
	Source    string    `json:"source"`
}

// NewVisit is the visit of the task with the number i.
func NewVisit(i int) Visit {
	return Visit{
		Path:      "/" + strconv.Itoa(i) + "/",
		QueryStr:  "page=2&sort=-date",
		Address:   "203.0.113.7",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		Referer:   "https://www.example.com/articles/",
		ATime:     time.Now().Truncate(time.Microsecond),
		Source:    "中国-广东-深圳",
	}
}

// Number is the number of the task.
func (v Visit) Number() (int, error) {
	n, err := strconv.Atoi(strings.Trim(v.Path, "/"))
	if err != nil {
		return 0, fmt.Errorf("visit: the path %q is not the harness's", v.Path)
	}
	return n, nil
}

func columns() []string {
	return []string{"path", "query_str", "address", "user_agent", "referer", "atime", "source"}
}

func (v Visit) values() []any {
	return []any{v.Path, v.QueryStr, v.Address, v.UserAgent, v.Referer, v.ATime, v.Source}
}

// Visits is the table access_record, reached through one connection for each slot.
type Visits struct {
	pool   *pgxpool.Pool
	insert string
}

// OpenVisits connects to the database.
func OpenVisits(ctx context.Context, database string, slots int) (*Visits, error) {
	cfg, err := pgxpool.ParseConfig(database)
	if err != nil {
		return nil, fmt.Errorf("visit: %w", err)
	}
	cfg.MaxConns = int32(min(max(slots, 1), mostConnections))
	cfg.MinConns = cfg.MaxConns // connecting is no part of the work
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("visit: %w", err)
	}
	insert := "INSERT INTO access_record (" + strings.Join(columns(), ", ") + ") VALUES ($1, $2, $3, $4, $5, $6, $7)"
	return &Visits{pool: pool, insert: insert}, nil
}

// Close hangs up.
func (s *Visits) Close() { s.pool.Close() }

// Insert stores one visit.
func (s *Visits) Insert(ctx context.Context, v Visit) error {
	if _, err := s.pool.Exec(ctx, s.insert, v.values()...); err != nil {
		return fmt.Errorf("visit: %w", err)
	}
	return nil
}

// Copy stores visits together.
func (s *Visits) Copy(ctx context.Context, visits []Visit) error {
	rows := pgx.CopyFromSlice(len(visits), func(i int) ([]any, error) { return visits[i].values(), nil })
	if _, err := s.pool.CopyFrom(ctx, pgx.Identifier{"access_record"}, columns(), rows); err != nil {
		return fmt.Errorf("visit: %w", err)
	}
	return nil
}
