// Ends a server with the test that holds the other end of its standard input. That alone keeps no server from ending when it has nothing left to do.
process.stdin.resume().unref().on("end", () => process.exit(0));
