//! What passes through: methods, bodies, trailers, versions of the protocol.

use crate::app::App;
use crate::world::{Setup, World};

fn world(app: &App) -> World {
    Setup::new(&[("a", &app.address.to_string(), "v1")]).start()
}

#[test]
fn a_get_is_answered_by_the_app() {
    let app = App::saying("hello");
    let answer = world(&app).connect().get("/greet?x=1");
    assert_eq!((answer.status(), answer.body.as_str()), (200, "hello"));
    assert_eq!(app.heard().start, "GET /greet?x=1 HTTP/1.1");
}
