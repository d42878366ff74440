//! An open dashboard, as the tests use it.

use serde_json::json;
use tempfile::TempDir;

use crate::support::browser::{Browser, Tab, is_installed};
use crate::support::cutover::Cutover;

/// A tab with the dashboard in it. Derefs to the tab.
#[derive(Debug)]
pub(super) struct View {
    pub(super) tab: Tab,
    base: String,
    _browser: Browser,
    // Goes last: the browser has its files in it.
    _directory: TempDir,
}

impl View {
    /// Opens the dashboard of `cutover`; `None`, with a word about it, where no browser is.
    pub(super) async fn open(cutover: &Cutover) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let browser = Browser::start(directory.path()).await;
        let base = format!("http://{}/", cutover.admin_address());
        let tab = browser.open(&base).await;
        Some(Self { tab, base, _browser: browser, _directory: directory })
    }

    /// Types into the field that `selector` finds.
    pub(super) async fn fill(&self, selector: &str, text: &str) {
        self.until(&format!("document.querySelector({selector:?}) !== null"), &json!(true)).await;
        let typed = format!(
            "(() => {{ const field = document.querySelector({selector:?}); field.focus(); field.value = {text:?}; \
             field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
        );
        self.eval(&typed).await.unwrap();
    }

    /// Goes to and clicks on the button with this text or label, once it is there and can be clicked on.
    pub(super) async fn push(&self, text: &str) {
        let button = button(text);
        self.until(&format!("{button} !== undefined && !{button}.disabled"), &json!(true)).await;
        self.eval(&format!("(() => {{ const button = {button}; button.focus(); button.click(); }})()"))
            .await
            .unwrap();
    }

    /// Waits until a button is there that can be clicked on, or can't.
    pub(super) async fn until_pushable(&self, text: &str, wanted: bool) {
        self.until(&format!("{}?.disabled", button(text)), &json!(!wanted)).await;
    }

    /// Waits until the page says whether cutover answers.
    pub(super) async fn until_link(&self, state: &str) {
        self.until("document.querySelector('.link')?.dataset.state", &json!(state)).await;
    }

    /// Waits until this version is shown in this role.
    pub(super) async fn until_role(&self, version: &str, role: &str) {
        let card = format!("document.querySelector('[aria-label=\"Version {version}, {role}\"]') !== null");
        self.until(&card, &json!(true)).await;
    }

    /// The codes of the reasons that are shown, in their order.
    pub(super) async fn until_reasons(&self, codes: &[&str]) {
        let shown =
            "[...document.querySelectorAll('dialog .reasons code')].map(code => code.textContent).sort()";
        self.until(shown, &json!(codes)).await;
    }

    /// Nothing threw, the policy of the page was not broken, and everything came from cutover. That the console notes each answer which is no
    /// success can't be helped.
    pub(super) async fn assert_clean(&self) {
        let mut complaints = self.complaints().await;
        complaints.retain(|complaint| !complaint.contains("Failed to load resource"));
        assert_eq!(complaints, Vec::<String>::new());
        let foreign: Vec<_> =
            self.loaded("").await.into_iter().filter(|answer| !answer.url.starts_with(&self.base)).collect();
        assert!(foreign.is_empty(), "{foreign:#?}");
    }
}

impl std::ops::Deref for View {
    type Target = Tab;

    fn deref(&self) -> &Tab {
        &self.tab
    }
}

fn button(text: &str) -> String {
    format!(
        "[...document.querySelectorAll('dialog button, main button, header button')].find(button => \
         button.ariaLabel === {text:?} || button.textContent.trim() === {text:?})"
    )
}
