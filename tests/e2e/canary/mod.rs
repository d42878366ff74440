//! Canaries: a version that gets a share of the new sessions, keeps them, and gives them back only in a new epoch.

mod ended;
mod page;
mod share;
mod steps;

use serde_json::{Value, json};

use crate::support::session::Session;
use crate::support::stage::Stage;

const CANARY: &str = "/v1/services/web/canary";

/// Visitors with a session each.
#[derive(Debug)]
struct Crowd(Vec<Session>);

impl Crowd {
    /// So many new sessions, each of which has asked once.
    async fn open(stage: &Stage, count: usize) -> Self {
        let mut crowd = Self((0..count).map(|_| stage.session()).collect());
        crowd.versions().await;
        crowd
    }

    /// The version of each, who asks for it.
    async fn versions(&mut self) -> Vec<String> {
        let mut versions = Vec::with_capacity(self.0.len());
        for session in &mut self.0 {
            versions.push(session.version().await);
        }
        versions
    }

    /// The pin of each.
    fn pins(&self) -> Vec<String> {
        self.0.iter().map(|session| session.cookies["cutover"].clone()).collect()
    }
}

/// Gives v2 this share of the new sessions; answers what the API says.
async fn give(stage: &Stage, share: f64) -> Value {
    stage.admin().done("POST", CANARY, json!({ "to": "v2", "share": share })).await
}

/// The canary of the service, as the API shows it.
async fn canary(stage: &Stage) -> Value {
    stage.admin().get("/v1/services/web").await["canary"].clone()
}

fn count(versions: &[String], version: &str) -> usize {
    versions.iter().filter(|found| *found == version).count()
}

/// That as many of `all` were drawn as a share of `share` brings, within five standard deviations.
fn assert_share(drawn: usize, all: usize, share: f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let (drawn, all) = (drawn as f64, all as f64);
    let deviation = (all * share * (1.0 - share)).sqrt();
    assert!((drawn - all * share).abs() <= 5.0 * deviation, "{drawn} of {all} in a share of {share}");
}
