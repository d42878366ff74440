//! When backends are asked, and what is made of their answers, without a socket.

use cutover_core::backend::AdminState;
use cutover_core::command::{Change, Command, Finding, Found};
use cutover_core::policy::{HealthPolicy, IdentityPolicy, IdentitySource, Policy};
use cutover_core::report::{BackendFacts, Traffic};
use cutover_core::service::Source;
use cutover_core::time::Millis;
use cutover_core::traffic::Sighting;

use super::super::ask::{Answer, Failure};
use super::*;
use crate::world::{World, id, label, registration, web};

const INTERVAL: Duration = Duration::from_secs(1);

/// A schedule of this many backends of one service that is probed every second.
async fn schedule(backends: usize, now: Instant) -> (Schedule, Arc<State>) {
    let mut world = World::new().await;
    world.put_web().await.expect("a service");
    world.register("b", "v1").await.expect("a backend");
    let template = Arc::clone(&world.web().backends[&id("b")]);
    let health = HealthPolicy { interval: Millis::from_secs(1), ..HealthPolicy::default() };
    let policy = Arc::new(Policy { health, ..Policy::default() });
    let mut service = Service::new(web(), policy, Source::Config);
    service.backends = (0..backends)
        .map(|number| {
            let id = id(&format!("b-{number}"));
            (id.clone(), Arc::new(Backend { id, ..Backend::clone(&template) }))
        })
        .collect();
    let state = State { services: BTreeMap::from([(web(), Arc::new(service))]), ..State::default() };
    let state = Arc::new(state);
    let mut schedule = Schedule::new(now);
    schedule.follow(&state, Timestamp(0), now);
    (schedule, state)
}

fn answered(question: Question) -> Asked {
    let answer = Answer { version: None, boot_id: None, detail: String::new() };
    let Question { key, generation, number, .. } = question;
    Asked { key, generation, number, outcome: Ok(answer), took: Duration::ZERO }
}

#[tokio::test]
async fn new_backends_are_asked_at_once_and_then_spread_over_the_interval() {
    let begin = Instant::now();
    let (mut schedule, state) = schedule(10_000, begin).await;
    let mut first = 0;
    while let Some(question) = schedule.take_due(begin) {
        schedule.hear(&answered(question), &state, begin);
        first += 1;
    }
    assert_eq!(first, 10_000);

    let mut busiest = 0;
    for slice in 1..=100 {
        let now = begin + INTERVAL / 100 * slice;
        let mut asked = 0;
        while let Some(question) = schedule.take_due(now) {
            schedule.hear(&answered(question), &state, now);
            asked += 1;
        }
        busiest = busiest.max(asked);
    }
    // On average a hundred; far more would be a burst.
    assert!((100..160).contains(&busiest), "{busiest} of 10000 in a hundredth of the interval");
}

#[tokio::test]
async fn a_backend_keeps_its_phase_and_is_asked_once_in_every_interval() {
    let begin = Instant::now();
    let (mut schedule, state) = schedule(1, begin).await;
    let first = schedule.take_due(begin).expect("at once");
    schedule.hear(&answered(first), &state, begin);
    let phase = schedule.next_at().expect("a next time");
    for turn in 0..5 {
        let at = phase + INTERVAL * turn;
        assert_eq!(schedule.next_at(), Some(at));
        let question = schedule.take_due(at).expect("due");
        assert!(schedule.take_due(at + INTERVAL * 9).is_none(), "asked twice at a time");
        schedule.hear(&answered(question), &state, at + Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_suspected_backend_is_asked_at_once_even_while_it_is_being_asked() {
    let begin = Instant::now();
    let (mut schedule, state) = schedule(1, begin).await;
    let question = schedule.take_due(begin).expect("at once");
    let mut suspected = State::clone(&state);
    let service = Arc::make_mut(suspected.services.get_mut(&web()).expect("web"));
    Arc::make_mut(service.backends.get_mut(&id("b-0")).expect("b-0")).forget_process();
    let suspected = Arc::new(suspected);
    let now = begin + Duration::from_millis(1);
    schedule.follow(&suspected, Timestamp(0), now);

    let news = schedule.hear(&answered(question), &suspected, now);

    assert_eq!(news, News::None, "an answer of the process before");
    assert_eq!(schedule.take_due(now).map(|question| question.generation), Some(2));
}

#[tokio::test]
async fn an_answer_of_a_backend_that_left_is_not_taken_for_the_one_that_came() {
    let begin = Instant::now();
    let (mut schedule, state) = schedule(1, begin).await;
    let before = schedule.take_due(begin).expect("at once");
    schedule.follow(&Arc::default(), Timestamp(0), begin);
    schedule.follow(&state, Timestamp(0), begin);
    schedule.hear(&answered(before), &state, begin);
    let after = schedule.take_due(begin).expect("at once");
    assert!(schedule.take_due(begin + INTERVAL * 9).is_none(), "asked twice at a time");
    schedule.hear(&answered(after), &state, begin);
    assert_eq!(schedule.due.len(), 1);
}

#[tokio::test]
async fn backends_that_are_gone_leave_nothing_behind() {
    let begin = Instant::now();
    let (mut schedule, _) = schedule(3, begin).await;
    let gone = schedule.follow(&Arc::default(), Timestamp(0), begin);
    assert_eq!((gone.len(), schedule.next_at(), schedule.targets.len()), (3, None, 0));
}

/// Backends `a` and `b`, up in v1, whose answers and silence are told to the controller at once.
struct Fleet {
    state: Arc<State>,
    schedule: Schedule,
    now: Instant,
    time: Timestamp,
}

/// Time between the turns of a backend of a [`Fleet`].
const TURN_MS: u64 = 10_000;

impl Fleet {
    fn up() -> Self {
        let health = HealthPolicy { interval: Millis(TURN_MS), ..HealthPolicy::default() };
        let identity = IdentityPolicy { source: IdentitySource::Response, ..IdentityPolicy::default() };
        let policy = Arc::new(Policy { health, identity, ..Policy::default() });
        let now = Instant::now();
        let schedule = Schedule::new(now);
        let mut fleet = Self { state: Arc::default(), schedule, now, time: Timestamp::from_secs(1) };
        fleet.apply(&Command::PutService { service: web(), policy, document: "{}".into() });
        for backend in ["a", "b"] {
            fleet.change(Change::Register(registration(backend, "v1")));
        }
        while !["a", "b"].iter().all(|backend| fleet.backend(backend).is_usable()) {
            fleet.next("a", good("v1"));
        }
        fleet.next("a", good("v1"));
        fleet
    }

    fn apply(&mut self, command: &Command) {
        self.state = Arc::new(self.state.apply(command, self.time).expect("nothing forbids it"));
        self.schedule.follow(&self.state, Timestamp(0), self.now);
    }

    fn change(&mut self, change: Change) {
        self.apply(&Command::Service(web(), change));
    }

    /// A tick in which workers report this about a backend.
    fn noticed(&mut self, backend: &str, facts: BackendFacts) {
        let backends = [((web(), id(backend)), facts)].into();
        self.apply(&Command::Tick(Traffic { backends, ..Traffic::default() }));
    }

    fn lose(&mut self, backend: &str) {
        let lost_generation = self.backend(backend).generation;
        self.noticed(backend, BackendFacts { lost_generation, ..BackendFacts::default() });
    }

    /// A real answer of the backend names this version.
    fn sight(&mut self, backend: &str, version: &str) {
        let generation = self.backend(backend).generation;
        let sighting = Sighting { generation, version: Some(label(version)), boot_id: None };
        self.noticed(backend, BackendFacts { sighting: Some(Arc::new(sighting)), ..BackendFacts::default() });
    }

    /// Asks for a permit and lets the backend get empty.
    fn permit(&mut self, backend: &str) {
        self.change(Change::AskPermit { backend: id(backend) });
        while !self.state.services[&web()].roll.is_granted(&id(backend)) {
            self.noticed(backend, BackendFacts::default());
        }
    }

    fn backend(&self, backend: &str) -> &Backend {
        &self.state.services[&web()].backends[&id(backend)]
    }

    /// What is believed: operational state, identity and version.
    fn belief(&self, backend: &str) -> String {
        let backend = self.backend(backend);
        let version = backend.version.as_ref().map_or("none", |version| version.as_str());
        format!("{} {} {version}", backend.operational, backend.identity)
    }

    /// Lets time pass until the backend is asked, and has it answer so; all others answer well. How many milliseconds that took.
    fn next(&mut self, backend: &str, outcome: Result<Answer, Failure>) -> u128 {
        let (began, mut outcome) = (self.now, Some(outcome));
        loop {
            let at = self.schedule.next_at().expect("somebody is asked").max(self.now);
            self.time = self.time + Millis(u64::try_from((at - self.now).as_millis()).expect("no ages"));
            self.now = at;
            let Question { key, generation, number, .. } =
                self.schedule.take_due(self.now).expect("it is due");
            let answer = match key.1.as_str() == backend {
                true => outcome.take().expect("it is asked once"),
                false => good("v1"),
            };
            let asked = Asked { key, generation, number, outcome: answer, took: Duration::ZERO };
            let state = Arc::clone(&self.state);
            match self.schedule.hear(&asked, &state, self.now) {
                News::None => {}
                News::ProcessGone => self.lose(asked.key.1.as_str()),
                News::Found { finding, .. } => {
                    let (service, backend) = asked.key;
                    self.apply(&Command::Probed(vec![Found { service, backend, generation, finding }]));
                }
            }
            if outcome.is_none() {
                return (self.now - began).as_millis();
            }
        }
    }
}

fn good(version: &str) -> Result<Answer, Failure> {
    Ok(Answer { version: Some(label(version)), boot_id: None, detail: String::new() })
}

fn refused() -> Result<Answer, Failure> {
    Err(Failure { detail: String::new(), is_process_gone: true })
}

fn silent() -> Result<Answer, Failure> {
    Err(Failure::of("no answer"))
}

#[test]
fn a_lost_process_is_asked_at_once_then_less_and_less_often_and_always_in_its_turn() {
    let mut fleet = Fleet::up();
    fleet.lose("a");
    let waits: Vec<u128> = (0..12).map(|_| fleet.next("a", silent())).collect();
    assert_eq!(waits, [0, 50, 100, 200, 400, 800, 1600, 3200, 3650, 6400, 3600, 10_000]);
}

#[test]
fn only_failures_at_its_turn_make_a_lost_process_down() {
    let mut fleet = Fleet::up();
    let mut passed = fleet.next("a", refused());
    assert_eq!((passed, fleet.belief("a").as_str()), (u128::from(TURN_MS), "up unknown v1"));
    while fleet.belief("a") == "up unknown v1" {
        passed += fleet.next("a", refused());
    }
    assert_eq!(fleet.belief("a"), "down unknown v1");
    assert_eq!(passed, u128::from(TURN_MS) * 4, "three failures at its turns since it was lost");
}

#[test]
fn a_lost_process_is_known_again_by_its_first_good_answer() {
    let mut fleet = Fleet::up();
    fleet.lose("a");
    fleet.next("a", refused());
    fleet.next("a", refused());
    assert_eq!(fleet.next("a", good("v2")), 100);
    assert_eq!(fleet.belief("a"), "up known v2");
    assert!(fleet.next("a", good("v2")) <= 100, "a new process is asked who it is");
    assert!(fleet.next("a", good("v2")) > 1000, "in its turn");
}

#[test]
fn what_a_real_answer_named_is_confirmed_by_a_probe_at_once() {
    let mut fleet = Fleet::up();
    fleet.sight("a", "v2");
    assert!(fleet.backend("a").is_sighted);
    assert_eq!(fleet.next("a", good("v2")), 0);
    assert_eq!(fleet.belief("a"), "up known v2");
    assert!(!fleet.backend("a").is_sighted, "both say the same");
}

#[test]
fn contradicting_answers_are_asked_again_soon_and_believed_when_they_insist() {
    let mut fleet = Fleet::up();
    fleet.sight("a", "v2");
    assert_eq!(fleet.next("a", good("v1")), 0);
    assert_eq!(fleet.belief("a"), "up mismatch v2");
    let mut passed = 0;
    while fleet.belief("a") == "up mismatch v2" {
        passed += fleet.next("a", good("v1"));
    }
    assert_eq!(fleet.belief("a"), "up known v1");
    assert!((10_000..=20_000).contains(&passed), "{passed}");
}

#[test]
fn a_backend_with_a_permit_is_watched_closely() {
    let mut fleet = Fleet::up();
    fleet.permit("a");
    let waits: Vec<u128> = (0..4).map(|_| fleet.next("a", good("v1"))).collect();
    assert_eq!(waits, [0, 100, 100, 100]);
    assert_eq!(fleet.backend("a").admin.state, AdminState::Drain);
}

#[test]
fn an_announced_restart_is_seen_at_the_first_refusal_and_over_when_the_backend_has_risen() {
    let mut fleet = Fleet::up();
    fleet.permit("a");
    fleet.next("a", good("v1"));
    fleet.next("a", refused());
    assert_eq!(fleet.belief("a"), "down unknown v1");
    fleet.next("a", good("v1"));
    assert_eq!(fleet.belief("a"), "down unknown v1", "one good answer is not two");
    assert_eq!(fleet.next("a", good("v1")), 100);
    assert_eq!(fleet.belief("a"), "up known v1");
    assert!(fleet.state.services[&web()].roll.permits.is_empty());
}

#[test]
fn silence_of_a_backend_with_a_permit_counts_at_its_turns_only() {
    let mut fleet = Fleet::up();
    fleet.permit("a");
    let mut passed = 0;
    while fleet.belief("a") == "up known v1" {
        passed += fleet.next("a", silent());
    }
    assert_eq!(fleet.belief("a"), "down unknown v1");
    assert_eq!(passed, u128::from(TURN_MS) * 3);
}

#[test]
fn an_answer_of_another_process_is_told_as_such() {
    let mut fleet = Fleet::up();
    let at = fleet.schedule.next_at().expect("somebody is asked");
    let Question { key, generation, number, .. } = fleet.schedule.take_due(at).expect("it is due");
    let asked = Asked { key, generation, number, outcome: good("v2"), took: Duration::ZERO };
    let finding = Finding::Up { version: Some(label("v2")), boot_id: None };
    let state = Arc::clone(&fleet.state);
    assert_eq!(fleet.schedule.hear(&asked, &state, at), News::Found { finding, is_another: true });
}
