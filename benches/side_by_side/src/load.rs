//! The loads: what the clients do, and what is read off meanwhile.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::client::{Ask, Way};
use crate::error::Error;
use crate::figures::Figure;
use crate::origin::{LARGE, REPLY};
use crate::process::Process;
use crate::stage::Stage;

const MIB: f64 = 1_048_576.0;

/// What calls of gRPC begin with, for the proxies to know them by.
pub(crate) const CALLS: &str = "/bench.Echo";
const CALL: &str = "/bench.Echo/Unary";

/// Keep-alive connections of small requests.
const CONNECTIONS: usize = 64;
/// Connections of HTTP/2, and requests at a time on each, as `h2load -c 16 -m 16` has them.
const H2_CONNECTIONS: usize = 16;
const H2_STREAMS: usize = 16;
/// Connections that fetch large bodies: enough to keep the proxy busy, few enough for their socket buffers to stay in cache.
const LARGE_CONNECTIONS: usize = 8;
/// Connections that are opened, used once and closed, at a time.
const OPENERS: usize = 16;
/// Handshakes at a time.
const SHAKERS: usize = 32;
/// Requests per second of the open loop: below what any of the proxies can do on one core.
const OPEN_RATE: u32 = 5_000;
/// Idle connections, beyond the first hundred after which the proxy's own buffers exist.
const IDLE: usize = 5_000;
const IDLE_BEFORE: usize = 100;
/// The open loop takes this many times as long as the others, for the sake of its rarest latencies.
const OPEN_LONGER: u32 = 2;
/// Time for a proxy to reach its pace.
const WARM_UP: Duration = Duration::from_millis(60);
/// Time for a proxy to settle.
const SETTLE: Duration = Duration::from_millis(300);
/// Slices of the loads that tell CPU time. Another machine's work on the same processor comes and goes within seconds.
const SLICES: u32 = 12;

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Load {
    Small,
    Latency,
    Large,
    Connections,
    Idle,
    Tls,
    H2,
    H2c,
    Grpc,
    TlsLarge,
    Handshakes,
    TlsIdle,
}

/// What a load works on. Without a process there is no proxy, but the origin itself.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) ask: Ask,
    pub(crate) process: Option<&'a Process>,
    pub(crate) time: Duration,
}

/// Figures of one load in one round.
pub(crate) type Taken = Vec<(Figure, f64)>;

impl Load {
    pub(crate) const ALL: [Self; 12] = [
        Self::Small,
        Self::Latency,
        Self::Large,
        Self::Connections,
        Self::Idle,
        Self::Tls,
        Self::H2,
        Self::H2c,
        Self::Grpc,
        Self::TlsLarge,
        Self::Handshakes,
        Self::TlsIdle,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Latency => "latency",
            Self::Large => "large",
            Self::Connections => "connections",
            Self::Idle => "idle",
            Self::Tls => "tls",
            Self::H2 => "h2",
            Self::H2c => "h2c",
            Self::Grpc => "grpc",
            Self::TlsLarge => "tls-large",
            Self::Handshakes => "handshakes",
            Self::TlsIdle => "tls-idle",
        }
    }

    /// Whether it is about TLS or HTTP/2.
    pub(crate) fn is_edge(self) -> bool {
        self.figures().iter().all(|figure| figure.is_edge())
    }

    /// The figures that it gives.
    pub(crate) fn figures(self) -> &'static [Figure] {
        match self {
            Self::Small => &[Figure::Request, Figure::Rate],
            Self::Latency => &[Figure::Median, Figure::P99, Figure::P999],
            Self::Large => &[Figure::Bodies],
            Self::Connections => &[Figure::Connection, Figure::Connections],
            Self::Idle => &[Figure::Idle],
            Self::Tls => &[Figure::TlsRequest],
            Self::H2 => &[Figure::H2Request],
            Self::H2c => &[Figure::H2cRequest],
            Self::Grpc => &[Figure::Call],
            Self::TlsLarge => &[Figure::TlsBodies],
            Self::Handshakes => &[Figure::Handshakes],
            Self::TlsIdle => &[Figure::TlsIdle],
        }
    }

    /// In how many slices a round has it. The rarest latencies need one long one, and memory grows once.
    pub(crate) fn slices(self) -> u32 {
        match self {
            Self::Latency | Self::Idle | Self::TlsIdle => 1,
            _ => SLICES,
        }
    }

    /// Puts the load on `target`. Without a proxy, most of it has nothing to tell.
    pub(crate) fn run(self, stage: &mut Stage, target: &Target<'_>) -> Result<Taken, Error> {
        if self.is_edge() && target.process.is_none() {
            return Ok(Vec::new());
        }
        let over = |way| Target { ask: target.ask.by(way), ..*target };
        let taken = match self {
            Self::Small => small(stage, target),
            Self::Latency => latency(stage, target),
            Self::Large => large(stage, target, Figure::Bodies),
            Self::Connections => connections(stage, target),
            Self::Idle => idle(stage, target, Figure::Idle),
            Self::Tls => cpu(stage, &over(Way::Https), CONNECTIONS, 1, Figure::TlsRequest),
            Self::H2 => cpu(stage, &over(Way::H2), H2_CONNECTIONS, H2_STREAMS, Figure::H2Request),
            Self::H2c => cpu(stage, &over(Way::H2c), H2_CONNECTIONS, H2_STREAMS, Figure::H2cRequest),
            Self::Grpc => {
                let ask = Ask { way: Way::Grpc, path: CALL, body: REPLY, ..target.ask };
                cpu(stage, &Target { ask, ..*target }, H2_CONNECTIONS, H2_STREAMS, Figure::Call)
            }
            Self::TlsLarge => large(stage, &over(Way::Https), Figure::TlsBodies),
            Self::Handshakes => handshakes(stage, &over(Way::Handshake)),
            Self::TlsIdle => idle(stage, &over(Way::Https), Figure::TlsIdle),
        };
        stage.hang_up();
        taken
    }
}

/// A number of answers, and the time that they took.
#[derive(Clone, Copy, Debug)]
struct Pace {
    answers: u32,
    elapsed: Duration,
    cpu: Option<Duration>,
}

impl Pace {
    fn per_second(self) -> f64 {
        f64::from(self.answers) / self.elapsed.as_secs_f64()
    }

    /// Microseconds of the proxy's CPU time for each answer.
    fn cpu_each(self) -> Option<f64> {
        self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / f64::from(self.answers))
    }
}

fn small(stage: &mut Stage, target: &Target<'_>) -> Result<Taken, Error> {
    stage.connect_pinned(&target.ask, CONNECTIONS)?;
    let pace = saturate(stage, target, CONNECTIONS, 1, Stage::send)?;
    let cpu = pace.cpu_each().map(|cpu| (Figure::Request, cpu));
    Ok(cpu.into_iter().chain([(Figure::Rate, pace.per_second())]).collect())
}

/// The proxy's CPU time for each answer of a closed loop with so many requests at a time on so many connections.
fn cpu(
    stage: &mut Stage,
    target: &Target<'_>,
    connections: usize,
    at_a_time: usize,
    figure: Figure,
) -> Result<Taken, Error> {
    stage.connect_pinned(&target.ask, connections)?;
    let pace = saturate(stage, target, connections, at_a_time, Stage::send)?;
    Ok(pace.cpu_each().map(|cpu| (figure, cpu)).into_iter().collect())
}

fn large(stage: &mut Stage, target: &Target<'_>, figure: Figure) -> Result<Taken, Error> {
    let target = &Target { ask: Ask { path: "/large", body: LARGE, ..target.ask }, ..*target };
    stage.connect_pinned(&target.ask, LARGE_CONNECTIONS)?;
    let pace = saturate(stage, target, LARGE_CONNECTIONS, 1, Stage::send)?;
    Ok(pace.cpu_each().map(|cpu| (figure, LARGE as f64 / (MIB * 1024.0) / (cpu / 1e6))).into_iter().collect())
}

fn connections(stage: &mut Stage, target: &Target<'_>) -> Result<Taken, Error> {
    let cookie = stage.pin(&target.ask)?;
    for _ in 0..OPENERS {
        stage.connect(&target.ask, &cookie)?;
    }
    let pace = saturate(stage, target, OPENERS, 1, |stage, number| {
        stage.reconnect(number, &target.ask, &cookie)?;
        stage.send(number)
    })?;
    // Opening costs the clients more than it costs most proxies, so that only the CPU time tells them apart.
    let cpu = pace.cpu_each().map(|cpu| [(Figure::Connection, cpu), (Figure::Connections, 1e6 / cpu)]);
    Ok(cpu.into_iter().flatten().collect())
}

fn handshakes(stage: &mut Stage, target: &Target<'_>) -> Result<Taken, Error> {
    for _ in 0..SHAKERS {
        stage.connect(&target.ask, "")?;
    }
    let pace = saturate(stage, target, SHAKERS, 1, |stage, number| {
        stage.reconnect(number, &target.ask, "")?;
        stage.send(number)
    })?;
    Ok(pace.cpu_each().map(|cpu| (Figure::Handshakes, 1e6 / cpu)).into_iter().collect())
}

/// A closed loop: every answer makes its connection go on with `next` at once.
fn saturate(
    stage: &mut Stage,
    target: &Target<'_>,
    connections: usize,
    at_a_time: usize,
    next: impl Fn(&mut Stage, usize) -> Result<(), Error>,
) -> Result<Pace, Error> {
    let mut finished: Vec<usize> =
        (0..connections).flat_map(|number| std::iter::repeat_n(number, at_a_time)).collect();
    let mut turn_until = |stage: &mut Stage, time: Duration| {
        let (start, mut answers) = (Instant::now(), 0_u32);
        let mut last = start;
        loop {
            for number in finished.drain(..) {
                next(stage, number)?;
            }
            stage.turn(&mut finished)?;
            let now = Instant::now();
            if !finished.is_empty() {
                answers += u32::try_from(finished.len()).unwrap_or(u32::MAX);
                last = now;
            }
            if now - last > time + Duration::from_secs(5) {
                return Err(Error::TooLong("an answer".to_owned()));
            }
            if now - start > time {
                return Ok((answers, now - start));
            }
        }
    };
    turn_until(stage, WARM_UP)?;
    let before = target.process.map(Process::cpu).transpose()?;
    let (answers, elapsed) = turn_until(stage, target.time)?;
    let after = target.process.map(Process::cpu).transpose()?;
    let cpu = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(Pace { answers, elapsed, cpu })
}

/// An open loop: requests are due at a fixed rate whatever the proxy does, and each is timed from when it was due.
fn latency(stage: &mut Stage, target: &Target<'_>) -> Result<Taken, Error> {
    stage.connect_pinned(&target.ask, CONNECTIONS)?;
    let mut free: VecDeque<usize> = (0..CONNECTIONS).collect();
    let mut due_of = [Instant::now(); CONNECTIONS];
    let mut microseconds = Vec::new();
    let mut finished = Vec::new();
    let interval = Duration::from_secs(1) / OPEN_RATE;
    let start = Instant::now();
    let end = start + WARM_UP + target.time * OPEN_LONGER;
    let mut due = start;
    while due < end || free.len() < CONNECTIONS {
        let now = Instant::now();
        if due < end
            && now >= due
            && let Some(number) = free.pop_front()
        {
            due_of[number] = due;
            due += interval;
            stage.send(number)?;
        }
        stage.turn(&mut finished)?;
        let now = Instant::now();
        for number in finished.drain(..) {
            if due_of[number] >= start + WARM_UP {
                microseconds.push((now - due_of[number]).as_secs_f64() * 1e6);
            }
            free.push_back(number);
        }
        if now > end + Duration::from_secs(5) {
            return Err(Error::TooLong("an answer".to_owned()));
        }
    }
    microseconds.sort_by(f64::total_cmp);
    let at = |per_mille| microseconds.get(microseconds.len() * per_mille / 1000).copied().unwrap_or_default();
    Ok(vec![(Figure::Median, at(500)), (Figure::P99, at(990)), (Figure::P999, at(999))])
}

/// Opens connections that make one request each, and looks how much the proxy has grown.
fn idle(stage: &mut Stage, target: &Target<'_>, figure: Figure) -> Result<Taken, Error> {
    let Some(process) = target.process else { return Ok(Vec::new()) };
    let open = |stage: &mut Stage, count| {
        for _ in 0..count {
            let number = stage.connect(&target.ask, "")?;
            stage.exchange(number)?;
        }
        stage.serve(SETTLE)?;
        process.memory()
    };
    let before = open(stage, IDLE_BEFORE)?;
    let after = open(stage, IDLE)?;
    // Their ends are work, which is not the next proxy's to share a core with.
    stage.hang_up();
    stage.serve(SETTLE)?;
    Ok(vec![(figure, after.saturating_sub(before) as f64 / 1024.0 / IDLE as f64)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Addresses;
    use crate::origin::SMALL;

    /// The origin itself instead of a proxy.
    fn direct(stage: &Stage) -> Target<'static> {
        let address = stage.backends().unwrap()[0];
        let addresses = Addresses { http: address, tls: address, h2c: address };
        let ask = Ask { addresses, way: Way::Http1, path: "/small", body: SMALL };
        Target { ask, process: None, time: Duration::from_millis(50) }
    }

    #[test]
    fn loads_run_without_a_proxy_too() {
        let mut stage = Stage::new().unwrap();
        let target = direct(&stage);
        for load in Load::ALL {
            let taken = load.run(&mut stage, &target).unwrap();
            assert!(
                taken.iter().all(|(figure, value)| load.figures().contains(figure) && *value > 0.0),
                "{taken:?}"
            );
        }
    }

    #[test]
    fn an_answer_of_the_wrong_length_makes_a_load_invalid() {
        let mut stage = Stage::new().unwrap();
        let mut target = direct(&stage);
        target.ask.body += 1;
        for load in [Load::Small, Load::Latency, Load::Connections] {
            assert!(matches!(load.run(&mut stage, &target), Err(Error::Length { .. })), "{load:?}");
        }
    }

    #[test]
    fn the_open_loop_takes_as_long_as_its_rate_says() {
        let mut stage = Stage::new().unwrap();
        let target = direct(&stage);
        let start = Instant::now();
        latency(&mut stage, &target).unwrap();
        assert!(start.elapsed() >= WARM_UP + target.time * OPEN_LONGER - Duration::from_secs(1) / OPEN_RATE);
    }
}
