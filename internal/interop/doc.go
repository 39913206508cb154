// Package interop has tests only: taskq and real Celery on one RabbitMQ, in both directions.
package interop
