//! A request in steady state allocates nothing: counted on the workers' threads, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a test fail it by a panic, like the test itself"
)]

#[path = "../request_path/app.rs"]
#[expect(dead_code, reason = "the tests of the request path need more of it")]
mod app;
#[path = "../request_path/client.rs"]
#[expect(dead_code, reason = "the tests of the request path need more of it")]
mod client;
mod counter;
#[path = "../request_path/message.rs"]
mod message;
#[path = "../request_path/world.rs"]
#[expect(dead_code, reason = "the tests of the request path need more of it")]
mod world;

use cutover_core::policy::Rate;
use cutover_core::policy::{Policy, Redirect};
use cutover_core::route::PathPrefix;
use cutover_proxy::access_log::Format;

use app::App;
use client::Client;
use counter::counted;
use world::Setup;

const WARM_UP: usize = 200;
const REQUESTS: usize = 500;

/// What a client of a service sends again and again, from a browser's request to the smallest upload.
fn requests(cookie: &str) -> [String; 4] {
    let fields = format!(
        "Host: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n\
         Accept-Encoding: gzip, br\r\nReferer: https://shop.example/\r\nCookie: a=b; {cookie}; c=d\r\n"
    );
    [
        format!("GET /cart?item=1 HTTP/1.1\r\n{fields}\r\n"),
        format!(
            "GET http://shop.example/cart HTTP/1.1\r\nConnection: keep-alive\r\nX-Request-Id: 1\r\n{fields}\r\n"
        ),
        format!("POST /cart HTTP/1.1\r\nContent-Length: 10\r\n{fields}\r\n0123456789"),
        format!(
            "POST /cart HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{fields}\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"
        ),
    ]
}

fn ask(client: &mut Client, requests: &[String], times: usize) {
    for request in requests.iter().cycle().take(times) {
        assert_eq!(client.send(request).answer().status(), 200);
    }
}

fn steady(setup: impl FnOnce(Setup) -> Setup) {
    let app = App::playing(|mut visit| {
        let answers = [
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        ];
        for answer in answers.iter().cycle() {
            if visit.request().is_none() || !visit.send(answer) {
                return;
            }
        }
    });
    let world = setup(Setup::new(&[("a", &app.address.to_string(), "v1")])).start();
    let mut client = world.connect();
    let first = client.get("/");
    let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap();
    let requests = requests(cookie);
    // A second connection takes turns with the first one: what one has used, the other uses.
    let mut other = world.connect();
    ask(&mut client, &requests, WARM_UP);
    ask(&mut other, &requests, WARM_UP);
    let (count, at) = counted(|| {
        for _ in 0..REQUESTS / 10 {
            ask(&mut client, &requests, 5);
            ask(&mut other, &requests, 5);
        }
    });
    assert_eq!(count, 0, "the first one is here:\n{}", at.map_or(String::new(), |at| at.to_string()));
}

/// Every rule about messages, of which all do something to what is asked here.
fn with_rules(policy: &mut Policy) {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    policy.request.remove = vec!["referer".to_owned(), "x-unheard".to_owned()];
    policy.request.set = vec![pair("user-agent", "a browser"), pair("x-tenant", "7")];
    policy.request.add = vec![pair("accept-language", "de")];
    policy.response.remove = vec!["content-type".to_owned()];
    policy.response.set = vec![pair("strict-transport-security", "max-age=63072000")];
    policy.response.add = vec![pair("x-frame-options", "DENY")];
    policy.paths = ["/", "/cart"].map(|path| PathPrefix::parse(path).unwrap()).to_vec();
    policy.rewrite_prefix = Some("/basket".to_owned());
    policy.redirects =
        vec![Redirect { from: PathPrefix::parse("/old").unwrap(), to: "/new".to_owned(), status: 308 }];
}

#[test]
fn a_request_in_steady_state_allocates_nothing() {
    steady(|setup| setup);
    let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
    steady(|setup| setup.policy(|policy| policy.rate_limit = Some(rate)));
    steady(|setup| setup.logging(Format::Combined));
    steady(|setup| setup.logging(Format::Json));
    steady(|setup| setup.policy(with_rules));
    let (count, at) = counted(|| {
        let worker = std::thread::Builder::new().name("worker-0".into());
        worker.spawn(|| drop(std::hint::black_box(Box::new(1)))).unwrap().join().unwrap();
    });
    assert!(count > 0 && at.is_some(), "what a worker allocates is counted");
}
