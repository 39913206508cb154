// Package docstest holds the documents to what the program does. Its tests run every command of the README and of docs/ in a
// directory of its own and compare what is printed; they see that shown Go code is code that compiles, that links lead somewhere,
// and that tables of settings and both READMEs agree.
//
// What stands behind the opening of a code block says how it is run; renderers do not show it:
//
//	```sh             run to its end; the exit status is 0
//	```sh exit=69     the exit status is 69
//	```sh retry       repeated until the output fits, for what takes effect a moment later
//	```sh service     a program that stays: it is ready before the next block runs, and ends with the page or the next service
//	```sh service also  beside the service before it
//	```sh checkout    for a reader's own checkout: not run; its make targets exist
//	```python tasks.py  a file that the page's commands find
//	```text           after a sh block: what that prints. "…" stands for any text, a line of "…" for any lines
package docstest
