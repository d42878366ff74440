// Every answer says which version of the server made it.
export async function handle({ event, resolve }) {
  const response = await resolve(event);
  response.headers.set("X-App-Version", __VERSION__);
  return response;
}
