"use client";

export default function Pair({ data }) {
  return <h1 id="pair">{`page ${process.env.APP_VERSION}, data ${data}`}</h1>;
}
