// Ends a server with the test that holds the other end of its standard input.
process.stdin.resume().on("end", () => process.exit(0));
