import Pair from "./pair";

export const dynamic = "force-dynamic";

export default function Other() {
  return <Pair data={process.env.APP_VERSION} />;
}
