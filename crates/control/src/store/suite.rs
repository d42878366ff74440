//! What every store must do: one set of cases, run over each engine by [`conformance!`].

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::thread;

use cutover_core::id::Revision;
use tempfile::TempDir;

use super::{Change, Commit, CommitError, Document, Guard, Key, Loaded, OPERATIONS_KEPT, OperationId, Store};

/// A new, empty store, and the directory it lives in, if any.
pub(super) struct Subject {
    store: Arc<dyn Store>,
    _directory: Option<TempDir>,
}

impl Subject {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, _directory: None }
    }

    pub(super) fn keeping(self, directory: TempDir) -> Self {
        Self { _directory: Some(directory), ..self }
    }
}

/// Makes a test of each case for the engine that the given `fn() -> Subject` makes.
macro_rules! conformance {
    ($subject:ident) => {
        $crate::store::suite::conformance! { $subject:
            a_new_store_is_empty_at_revision_zero,
            a_commit_makes_all_its_changes_and_the_revision_grows_by_one,
            a_commit_without_changes_is_a_revision_too,
            a_deleted_record_is_gone_and_deleting_it_again_is_fine,
            a_guard_on_the_revision_lets_only_that_revision_pass,
            a_guard_on_absence_lets_only_an_absent_key_pass,
            one_failing_guard_of_several_is_a_conflict,
            a_conflict_changes_nothing_and_is_not_committed,
            a_committed_operation_is_found_and_an_unknown_one_is_not,
            sending_a_commit_again_does_not_repeat_it,
            operations_are_forgotten_oldest_first,
            every_kind_of_key_and_text_comes_back_as_it_was,
            a_large_document_comes_back_whole,
            ten_thousand_records_are_one_commit_and_one_load,
            of_concurrent_commits_with_the_same_guard_exactly_one_wins,
            concurrent_commits_without_guards_all_get_their_own_revision,
            a_commit_that_nobody_waits_for_does_not_block_the_store,
        }
    };
    ($subject:ident: $($case:ident,)+) => {
        mod conformance {
            $(#[tokio::test]
            async fn $case() {
                $crate::store::suite::$case(super::$subject()).await;
            })+
        }
    };
}
pub(super) use conformance;

pub(super) fn operation(number: u128) -> OperationId {
    OperationId(number)
}

/// A commit without guards that puts a document of each name.
pub(super) fn put(number: u128, names: &[&str]) -> Commit {
    let changes = names.iter().map(|name| (Key::new(name), Change::Put(document(name)))).collect();
    Commit { guards: Vec::new(), changes, operation: operation(number) }
}

fn delete(number: u128, name: &str) -> Commit {
    Commit { changes: BTreeMap::from([(Key::new(name), Change::Delete)]), ..put(number, &[]) }
}

fn guarded(guards: &[Guard], commit: Commit) -> Commit {
    Commit { guards: guards.to_vec(), ..commit }
}

fn document(text: &str) -> Document {
    Document { format: 1, json: format!("{{\"text\":\"{text}\"}}") }
}

async fn load(subject: &Subject) -> Loaded {
    subject.store.load().await.expect("a healthy store loads")
}

async fn commit(subject: &Subject, commit: Commit) -> Revision {
    subject.store.commit(commit).await.expect("a commit that nothing stands against")
}

async fn conflict(subject: &Subject, commit: Commit) -> Revision {
    match subject.store.commit(commit).await {
        Err(CommitError::Conflict { revision }) => revision,
        other => panic!("expected a conflict, not {other:?}"),
    }
}

async fn committed(subject: &Subject, number: u128) -> Option<Revision> {
    subject.store.committed(operation(number)).await.expect("a healthy store looks up")
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.records.keys().map(Key::as_str).collect()
}

pub(super) async fn a_new_store_is_empty_at_revision_zero(subject: Subject) {
    assert_eq!(load(&subject).await, Loaded { records: BTreeMap::new(), revision: Revision(0) });
}

pub(super) async fn a_commit_makes_all_its_changes_and_the_revision_grows_by_one(subject: Subject) {
    assert_eq!(commit(&subject, put(1, &["a", "b"])).await, Revision(1));
    let replaced = Document { format: 7, json: "null".to_owned() };
    let mut second = put(2, &["c"]);
    second.changes.insert(Key::new("a"), Change::Put(replaced.clone()));
    second.changes.insert(Key::new("b"), Change::Delete);
    assert_eq!(commit(&subject, second).await, Revision(2));

    let loaded = load(&subject).await;

    let expected = BTreeMap::from([(Key::new("a"), replaced), (Key::new("c"), document("c"))]);
    assert_eq!(loaded, Loaded { records: expected, revision: Revision(2) });
}

pub(super) async fn a_commit_without_changes_is_a_revision_too(subject: Subject) {
    assert_eq!(commit(&subject, put(1, &[])).await, Revision(1));
    assert_eq!(load(&subject).await.revision, Revision(1));
}

pub(super) async fn a_deleted_record_is_gone_and_deleting_it_again_is_fine(subject: Subject) {
    commit(&subject, put(1, &["a", "b"])).await;
    commit(&subject, delete(2, "a")).await;
    assert_eq!(names(&load(&subject).await), ["b"]);
    assert_eq!(commit(&subject, delete(3, "a")).await, Revision(3));
}

pub(super) async fn a_guard_on_the_revision_lets_only_that_revision_pass(subject: Subject) {
    let at = |revision| [Guard::Revision(Revision(revision))];
    assert_eq!(commit(&subject, guarded(&at(0), put(1, &["a"]))).await, Revision(1));
    assert_eq!(conflict(&subject, guarded(&at(0), put(2, &["b"]))).await, Revision(1));
    assert_eq!(conflict(&subject, guarded(&at(2), put(3, &["c"]))).await, Revision(1));
    assert_eq!(commit(&subject, guarded(&at(1), put(4, &["d"]))).await, Revision(2));
    assert_eq!(names(&load(&subject).await), ["a", "d"]);
}

pub(super) async fn a_guard_on_absence_lets_only_an_absent_key_pass(subject: Subject) {
    let absent = [Guard::Absent(Key::new("a"))];
    commit(&subject, guarded(&absent, put(1, &["a"]))).await;
    conflict(&subject, guarded(&absent, put(2, &["a"]))).await;
    commit(&subject, delete(3, "a")).await;
    commit(&subject, guarded(&absent, put(4, &["a"]))).await;
}

pub(super) async fn one_failing_guard_of_several_is_a_conflict(subject: Subject) {
    commit(&subject, put(1, &["a"])).await;
    let guards = [Guard::Revision(Revision(1)), Guard::Absent(Key::new("b")), Guard::Absent(Key::new("a"))];
    conflict(&subject, guarded(&guards, put(2, &["b"]))).await;
    commit(&subject, guarded(&guards[..2], put(3, &["b"]))).await;
}

pub(super) async fn a_conflict_changes_nothing_and_is_not_committed(subject: Subject) {
    commit(&subject, put(1, &["a"])).await;
    let loaded = load(&subject).await;
    let mut refused = guarded(&[Guard::Revision(Revision(0))], put(2, &["b", "c"]));
    refused.changes.insert(Key::new("a"), Change::Delete);

    conflict(&subject, refused.clone()).await;

    assert_eq!(load(&subject).await, loaded);
    assert_eq!(committed(&subject, 2).await, None);
    let again = guarded(&[Guard::Revision(Revision(1))], refused);
    assert_eq!(commit(&subject, again).await, Revision(2));
}

pub(super) async fn a_committed_operation_is_found_and_an_unknown_one_is_not(subject: Subject) {
    commit(&subject, put(u128::MAX, &["a"])).await;
    commit(&subject, put(0, &["b"])).await;
    assert_eq!(committed(&subject, u128::MAX).await, Some(Revision(1)));
    assert_eq!(committed(&subject, 0).await, Some(Revision(2)));
    assert_eq!(committed(&subject, 5).await, None);
}

pub(super) async fn sending_a_commit_again_does_not_repeat_it(subject: Subject) {
    let first = guarded(&[Guard::Revision(Revision(0))], put(1, &["a"]));
    commit(&subject, first.clone()).await;
    commit(&subject, delete(2, "a")).await;

    assert_eq!(commit(&subject, first).await, Revision(1));

    let loaded = load(&subject).await;
    assert_eq!((names(&loaded), loaded.revision), (vec![], Revision(2)));
}

pub(super) async fn operations_are_forgotten_oldest_first(subject: Subject) {
    let last = OPERATIONS_KEPT as u128 + 3;
    for number in 1..=last {
        commit(&subject, put(number, &["a"])).await;
    }
    assert_eq!(committed(&subject, 3).await, None);
    assert_eq!(committed(&subject, 4).await, Some(Revision(4)));
    assert!(committed(&subject, last).await.is_some());
}

pub(super) async fn every_kind_of_key_and_text_comes_back_as_it_was(subject: Subject) {
    let version = Key::new("version").child("web");
    let texts = ["", "v1", "a/b", "50%", "tab\tnul\0", "ünï©ode ✓", "a/b%2Fc"];
    let expected: BTreeMap<Key, Document> =
        texts.iter().map(|text| (version.child(text), document(text))).collect();
    let changes = expected.iter().map(|(key, document)| (key.clone(), Change::Put(document.clone())));

    commit(&subject, Commit { changes: changes.collect(), ..put(1, &[]) }).await;

    let loaded = load(&subject).await;
    assert_eq!(loaded.records, expected);
    assert_eq!(loaded.records.range(version.subtree()).count(), texts.len());
}

pub(super) async fn a_large_document_comes_back_whole(subject: Subject) {
    let large = document(&"x".repeat(4 << 20));
    let change = BTreeMap::from([(Key::new("large"), Change::Put(large.clone()))]);
    commit(&subject, Commit { changes: change, ..put(1, &[]) }).await;
    assert_eq!(load(&subject).await.records[&Key::new("large")], large);
}

pub(super) async fn ten_thousand_records_are_one_commit_and_one_load(subject: Subject) {
    let names: Vec<String> = (0..10_000).map(|number| format!("record-{number:05}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(commit(&subject, put(1, &all)).await, Revision(1));
    let loaded = load(&subject).await;
    assert_eq!(self::names(&loaded), all);
    assert_eq!(loaded.records[&Key::new("record-09999")], document("record-09999"));
}

pub(super) async fn of_concurrent_commits_with_the_same_guard_exactly_one_wins(subject: Subject) {
    for round in 0..5 {
        let guard = [Guard::Revision(Revision(round))];
        let commits = (1..=8).map(|racer| guarded(&guard, put(u128::from(round) * 8 + racer, &["a"])));
        let outcomes = race(&subject, commits.collect());
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let lost =
            outcomes.iter().filter(|outcome| matches!(outcome, Err(CommitError::Conflict { .. }))).count();
        assert_eq!((won, lost), (1, 7));
    }
    assert_eq!(load(&subject).await.revision, Revision(5));
}

pub(super) async fn concurrent_commits_without_guards_all_get_their_own_revision(subject: Subject) {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let commits = (1..).zip(names).map(|(number, name)| put(number, &[name]));
    let mut revisions: Vec<u64> =
        race(&subject, commits.collect()).into_iter().map(|outcome| outcome.expect("no guard").0).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(self::names(&load(&subject).await), names);
}

pub(super) async fn a_commit_that_nobody_waits_for_does_not_block_the_store(subject: Subject) {
    let abandoned = put(1, &["a"]);
    drop(tokio::time::timeout(std::time::Duration::ZERO, subject.store.commit(abandoned.clone())).await);
    let next = commit(&subject, put(2, &["b"])).await;
    // Whether or not the first one happened, the store says which, and sending it again is safe.
    let first = committed(&subject, 1).await;
    assert_eq!(next, Revision(1 + u64::from(first.is_some())));
    let resent = commit(&subject, abandoned).await;
    assert_eq!(resent, first.unwrap_or(Revision(2)));
}

/// Sends each commit from a thread of its own, all at the same moment.
fn race(subject: &Subject, commits: Vec<Commit>) -> Vec<Result<Revision, CommitError>> {
    let start = Barrier::new(commits.len());
    thread::scope(|scope| {
        let racers: Vec<_> = commits
            .into_iter()
            .map(|commit| {
                let (store, start) = (&subject.store, &start);
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                    start.wait();
                    runtime.block_on(store.commit(commit))
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().expect("a racer finishes")).collect()
    })
}
