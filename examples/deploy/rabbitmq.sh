#!/bin/sh
# A vhost with a user for each role, and what each may do: configure, write, read. The queues of this site are celery and mail.
# Passwords are read from files; run it as a user who may use rabbitmqctl.
set -eu

rabbitmqctl add_vhost site
for user in producer caller worker declared-worker; do
	rabbitmqctl add_user "$user" < "$user.password"
done

# A sender that waits for no result, with declare=never.
rabbitmqctl set_permissions -p site producer '^$' '^(amq\.default|taskq\.delay\.(queue|exchange)\..+)$' '^$'

# A sender with declare=never that reads results over rpc://, from a queue of its own that has a UUID as its name.
rabbitmqctl set_permissions -p site caller '^[0-9a-f-]{36}$' '^([0-9a-f-]{36}|amq\.default|taskq\.delay\.(queue|exchange)\..+)$' '^[0-9a-f-]{36}$'

# A worker that creates its queues (declare=auto).
rabbitmqctl set_permissions -p site worker '^((celery|mail)(\.dead|\.quarantine)?|taskq\.delay\..+)$' '^((celery|mail)(\.dead|\.quarantine)?|amq\.default|taskq\.delay\..+)$' '^((celery|mail)(\.quarantine)?|taskq\.delay\..+)$'

# A worker whose queues somebody else creates (declare=passive or never).
rabbitmqctl set_permissions -p site declared-worker '^$' '^(amq\.default|taskq\.delay\.(queue|exchange)\..+)$' '^(celery|mail)(\.quarantine)?$'
