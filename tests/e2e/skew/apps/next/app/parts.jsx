"use client";

import { useActionState, useState } from "react";

export default function Parts({ send }) {
  const [Lazy, setLazy] = useState(null);
  const [answer, setAnswer] = useState("");
  const [sent, submit] = useActionState(send, "");

  const load = async () => {
    const part = await import("./lazy");
    setLazy(() => part.default);
  };
  const call = async () => {
    // Next.js names the deployment on its own requests; those that the app makes say it themselves.
    const headers = { "x-deployment-id": process.env.NEXT_DEPLOYMENT_ID };
    setAnswer(await (await fetch("/api/version", { headers })).text());
  };
  return (
    <>
      <button id="load" onClick={load}>load a part</button>
      {Lazy && <Lazy />}
      <button id="call" onClick={call}>call the server</button>
      <p id="answer">{answer}</p>
      <form action={submit}>
        <button id="send">send a form</button>
      </form>
      <p id="sent">{sent}</p>
    </>
  );
}
