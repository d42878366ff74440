// An application on Node's own http server: node server.mjs PORT VERSION.
import http from "node:http";

const [port, version] = process.argv.slice(2);

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://app");
  response.setHeader("X-App-Version", version);
  if (url.pathname === "/large") {
    response.end("x".repeat(Number(url.searchParams.get("n"))));
    return;
  }
  let bytes = 0;
  let sum = 0;
  request.on("data", (part) => {
    bytes += part.length;
    for (const byte of part) sum += byte;
  });
  request.on("end", () => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ version, method: request.method, bytes, sum }));
  });
});

// Ends with the test that holds the other end of the pipe.
process.stdin.resume().on("end", () => process.exit(0));
server.listen(Number(port), "127.0.0.1");
