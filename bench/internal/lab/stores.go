package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// stores are the vhosts and databases of one measure, fresh ones.
type stores struct {
	servers Servers
	closers []func() error
}

// Close removes them.
func (s *stores) Close() error {
	var errs []error
	for _, remove := range s.closers {
		errs = append(errs, remove())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// fresh makes a store on a server and returns its URL.
func (s *stores) fresh(ctx context.Context, l *Lab, server Server) (string, error) {
	if !s.servers.Has(server) {
		return "", fmt.Errorf("lab: there is no %s", server)
	}
	switch server {
	case Nowhere:
		return "", nil
	case RabbitMQ:
		return s.vhost(ctx)
	case Redis:
		return s.redis(ctx)
	case Postgres:
		return s.database(ctx)
	case File:
		return "sqlite://" + l.file("store") + ".db", nil // in the lab's directory, which goes at the end
	}
	return "", fmt.Errorf("lab: the server %q is not known", server)
}

func (s *stores) vhost(ctx context.Context) (string, error) {
	u, err := url.Parse(s.servers.RabbitMQ)
	if err != nil {
		return "", errors.New("lab: the URL of RabbitMQ is not one") // the error would quote the password
	}
	name := "bench-" + strings.ToLower(rand.Text())
	if _, err := testserver.Manage(ctx, s.servers.RabbitMQ, http.MethodPut, "/api/vhosts/"+name, ""); err != nil {
		return "", err
	}
	s.atEnd(ctx, func(ctx context.Context) error {
		_, err := testserver.Manage(ctx, s.servers.RabbitMQ, http.MethodDelete, "/api/vhosts/"+name, "")
		return err
	})
	permissions := "/api/permissions/" + name + "/" + url.PathEscape(u.User.Username())
	if _, err := testserver.Manage(ctx, s.servers.RabbitMQ, http.MethodPut, permissions, `{"configure":".*","write":".*","read":".*"}`); err != nil {
		return "", err
	}
	u.Path, u.RawPath = "/"+name, ""
	return u.String(), nil
}

// redis takes the first database after 0 that is empty.
func (s *stores) redis(ctx context.Context) (string, error) {
	u, err := url.Parse(s.servers.Redis)
	if err != nil {
		return "", errors.New("lab: the URL of Redis is not one")
	}
	for n := 1; n < 16; n++ {
		u.Path = "/" + strconv.Itoa(n)
		address := u.String()
		size, err := redis(ctx, address, "DBSIZE")
		if err != nil {
			return "", err
		}
		if size != "0" {
			continue
		}
		s.atEnd(ctx, func(ctx context.Context) error {
			_, err := redis(ctx, address, "FLUSHDB")
			return err
		})
		return address, nil
	}
	return "", errors.New("lab: none of the databases 1 to 15 of Redis is empty")
}

func (s *stores) database(ctx context.Context) (string, error) {
	u, err := url.Parse(s.servers.Postgres)
	if err != nil {
		return "", errors.New("lab: the URL of PostgreSQL is not one")
	}
	name := "bench_" + strings.ToLower(rand.Text())
	if _, err := query(ctx, s.servers.Postgres, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	s.atEnd(ctx, func(ctx context.Context) error {
		_, err := query(ctx, s.servers.Postgres, "DROP DATABASE "+name+" WITH (FORCE)")
		return err
	})
	u.Path = "/" + name
	return u.String(), nil
}

// visits makes a database with the table of the visits.
func (s *stores) visits(ctx context.Context) (string, error) {
	database, err := s.database(ctx)
	if err != nil {
		return "", err
	}
	recorder, err := accessrecord.New(accessrecord.Config{Database: database})
	if err != nil {
		return "", err
	}
	return database, errors.Join(recorder.Migrate(ctx), recorder.Close())
}

// atEnd removes something, also when the run was interrupted.
func (s *stores) atEnd(ctx context.Context, remove func(context.Context) error) {
	s.closers = append(s.closers, func() error { return remove(context.WithoutCancel(ctx)) })
}
