import Link from "next/link";

import { send } from "./actions";
import Parts from "./parts";

export default function Page() {
  return (
    <>
      <h1 id="version">{process.env.APP_VERSION}</h1>
      <Parts send={send} />
      <Link id="other" href="/other" prefetch={false}>
        another page
      </Link>
    </>
  );
}
