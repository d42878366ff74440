//! Hooks: signed calls to whoever wants to know of the turns of a deployment, or is asked before a flip.
//!
//! What is owed stands in the state ([`cutover_core::hook`]), and so in the store. One task follows the state and starts a short task for
//! each call; how it ended is a change of the state again. The controller's loop waits for none of them.
//!
//! In the order of the files: `dispatch` (what is owed) → `deliver` (again and again) → `call` (one POST) with `message` (its body) and
//! `sign` (its signature).

mod call;
mod deliver;
mod dispatch;
mod message;
mod sign;
#[cfg(test)]
mod tests;

pub(crate) use self::call::Means;
pub(crate) use self::deliver::ask;
pub(crate) use self::dispatch::Dispatcher;
