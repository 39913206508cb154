// Package console writes log records for people: one line each behind Celery's prefix, the lines of tasks in Celery's own words, so
// that whoever reads or parses Celery's logs can go on doing so.
package console
