// Package report shows what the harness has measured: as text on a terminal, and as the tables and the chart of the pages in docs/.
// It is made of pure functions from a [result.Run] to text, and of [Write], which puts the texts into their places.
//
// What is written is the same for the same run, byte for byte, so that a difference in the pages is a difference in the figures.
package report
