"use server";

export async function send() {
  return process.env.APP_VERSION;
}
