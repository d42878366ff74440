export const GET = () => new Response(__VERSION__);
