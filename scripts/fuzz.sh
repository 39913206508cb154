#!/bin/sh
# Runs every fuzz test of the module for a time: fuzz.sh 10s. go test fuzzes one test of one package at a time.
set -eu
time=${1:-10s}
for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do
	for test in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || :); do
		echo "== $package $test ($time)"
		go test -run '^$' -fuzz "^$test\$" -fuzztime "$time" "$package"
	done
done
