// Lets the session go: the next page is of the active version.
export const POST = () => new Response(null, { status: 204, headers: { "Cutover-Pin": "end" } });
