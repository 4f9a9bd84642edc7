"""The command line: runs the whole mesh on one machine, tests and checks it, talks to a server."""
