export default function Lazy() {
  return <p id="lazy">a part of {process.env.APP_VERSION}</p>;
}
