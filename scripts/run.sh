#!/bin/sh
# Shows taskq at work, without any server: run.sh bin/taskq. A worker on the embedded store runs one access_record task, sent as
# anyone would send it. Everything is kept in a directory of its own, so that neither the user's configuration nor a worker that
# already runs has a part in it.
set -eu

taskq=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d)
worker=
finish() {
	[ -z "$worker" ] || kill -KILL "$worker" 2>/dev/null || :
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for name in $(env | awk -F= '/^(TASKQ|CELERY)_[A-Z_]+=/ { print $1 }'); do
	unset "$name"
done
: >"$dir/taskq.toml"
export TASKQ_CONFIG="$dir/taskq.toml" XDG_STATE_HOME="$dir"

fail() {
	echo "$1; the worker wrote:" >&2
	cat "$dir/worker.log" >&2
	exit 1
}

echo "\$ taskq worker -P solo &"
"$taskq" worker -P solo >"$dir/worker.log" 2>&1 &
worker=$!

set -- send access_record --path /articles/42/ --query-str 'page=2' --address 203.0.113.7 \
	--user-agent 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' \
	--referer 'https://www.example.org/search?q=task+queue' --source 'China-Jilin Sheng-Changchun'
echo "\$ taskq send access_record --path /articles/42/ … --wait"
"$taskq" "$@" --wait --timeout 30 2>"$dir/send.log" || {
	cat "$dir/send.log" >&2
	fail "the task did not succeed"
}

echo "\$ taskq accessrecord list"
"$taskq" accessrecord list 2>"$dir/list.log" || {
	cat "$dir/list.log" >&2
	fail "the rows could not be listed"
}

kill -TERM "$worker"
code=0
wait "$worker" || code=$?
worker=
[ "$code" -eq 0 ] || fail "the worker stopped with exit code $code"

cat <<'END'

That was a worker, a task, its result and the stored row, in a store that is gone now. To try next:
  bin/taskq worker -P threads -c 4                      in one terminal, and in another: bin/taskq send access_record --wait
  bin/taskq worker --broker amqp://guest:guest@localhost//   the same over RabbitMQ, where Python's Celery can send to it
  bin/taskq --help                                      everything else; README.md tells the story
END
