export const dynamic = "force-dynamic";

export const GET = () => new Response(process.env.APP_VERSION);
