//! The steps of a canary as they are written on the command line: `5%:10m,50%:10m`.

use std::time::Duration;

use crate::ctl::args::duration;
use crate::ctl::share;

/// Most steps: more than anybody waits for.
const STAGES_MAX: usize = 32;

/// A share of the sessions, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stage {
    /// Above 0, up to 1.
    pub(super) share: f64,
    /// Time until the next step.
    pub(super) lasts: Duration,
}

/// All steps, in growing order; none = those of the service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stages(pub(super) Vec<Stage>);

/// Reads the steps.
///
/// # Errors
/// What is wrong with them.
pub(super) fn stages(text: &str) -> Result<Stages, String> {
    if text.is_empty() {
        return Ok(Stages(Vec::new()));
    }
    let stages: Vec<Stage> = text.split(',').map(stage).collect::<Result<_, _>>()?;
    if stages.len() > STAGES_MAX {
        return Err(format!("{} steps; {STAGES_MAX} are the most", stages.len()));
    }
    if stages.windows(2).any(|pair| pair[1].share <= pair[0].share) {
        return Err(
            "each share must be larger than the one before: nobody is moved back by a step".to_owned()
        );
    }
    Ok(Stages(stages))
}

fn stage(text: &str) -> Result<Stage, String> {
    let wrong = || format!("{text:?} is no step; write SHARE:TIME, as 5%:10m or 0.05:10m");
    let (share, lasts) = text.trim().split_once(':').ok_or_else(wrong)?;
    let share = share::share(share)?;
    if share == 0.0 {
        return Err(format!("{text:?}: a share is more than 0 and at most 100 %"));
    }
    let lasts = duration(lasts).map_err(|error| format!("{text:?}: {error}"))?;
    Ok(Stage { share, lasts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_percent_or_as_share() {
        let minutes = |share, minutes: u64| Stage { share, lasts: Duration::from_secs(minutes * 60) };
        assert_eq!(stages("5%:10m, 0.5:1h").unwrap().0, [minutes(0.05, 10), minutes(0.5, 60)]);
        assert_eq!(stages("").unwrap().0, []);
        assert_eq!(stages("100%:1m").unwrap().0, [minutes(1.0, 1)]);
    }

    #[test]
    fn steps_that_make_no_sense_are_refused() {
        for wrong in
            ["5%", "x:1m", "5%:soon", "0%:1m", "101%:1m", "-1:1m", "nan:1m", "50%:1m,5%:1m", "5%:1m,"]
        {
            assert!(stages(wrong).is_err(), "{wrong}");
        }
        let many: Vec<String> = (1..=33).map(|share| format!("{share}%:1m")).collect();
        assert!(stages(&many.join(",")).is_err());
    }
}
