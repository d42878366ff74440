//! What is measured, in which unit, and how several rounds become one figure.

/// One figure about one proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// CPU time of the proxy per small request at saturation, in microseconds.
    Request,
    /// Small requests per second at saturation.
    Rate,
    /// Latency at the fixed rate, in microseconds: what the proxy adds to the same request without one.
    Median,
    P99,
    P999,
    /// 1 MiB bodies: GiB per second of CPU time.
    Bodies,
    /// CPU time of the proxy for a new connection with one request, in microseconds.
    Connection,
    /// New connections with one request each, per second of CPU time.
    Connections,
    /// Memory per idle connection that has made one request, in KiB.
    Idle,
    /// CPU time of the proxy per small request over TLS, in microseconds.
    TlsRequest,
    /// The same over HTTP/2 with TLS, many at a time.
    H2Request,
    /// The same over HTTP/2 without TLS.
    H2cRequest,
    /// CPU time of the proxy per unary call, HTTP/2 on both sides, in microseconds.
    Call,
    /// 1 MiB bodies over TLS: GiB per second of CPU time.
    TlsBodies,
    /// Full TLS handshakes per second of CPU time.
    Handshakes,
    /// Memory per idle TLS connection that has made one request, in KiB.
    TlsIdle,
}

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// What cutover's ratio is held against, and what it must reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) against: Against,
    pub(crate) bar: f64,
    pub(crate) aim: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Against {
    Nginx,
    BetterOfTwo,
    BestPeer,
    /// An absolute value.
    Nothing,
}

impl Figure {
    pub(crate) const ALL: [Self; 16] = [
        Self::Request,
        Self::Rate,
        Self::Median,
        Self::P99,
        Self::P999,
        Self::Bodies,
        Self::Connection,
        Self::Connections,
        Self::Idle,
        Self::TlsRequest,
        Self::H2Request,
        Self::H2cRequest,
        Self::Call,
        Self::TlsBodies,
        Self::Handshakes,
        Self::TlsIdle,
    ];

    /// As it is called in the table and in the JSON file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "request_cpu_us",
            Self::Rate => "requests_per_s",
            Self::Median => "added_p50_us",
            Self::P99 => "added_p99_us",
            Self::P999 => "added_p999_us",
            Self::Bodies => "bodies_gib_per_cpu_s",
            Self::Connection => "connection_cpu_us",
            Self::Connections => "connections_per_cpu_s",
            Self::Idle => "idle_connection_kib",
            Self::TlsRequest => "tls_request_cpu_us",
            Self::H2Request => "h2_request_cpu_us",
            Self::H2cRequest => "h2c_request_cpu_us",
            Self::Call => "grpc_call_cpu_us",
            Self::TlsBodies => "tls_bodies_gib_per_cpu_s",
            Self::Handshakes => "tls_handshakes_per_cpu_s",
            Self::TlsIdle => "tls_idle_connection_kib",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Request => "µs/req",
            Self::Rate => "req/s",
            Self::Median => "+p50 µs",
            Self::P99 => "+p99 µs",
            Self::P999 => "+p99.9 µs",
            Self::Bodies => "GiB/CPU-s",
            Self::Connection => "µs/conn",
            Self::Connections => "conn/CPU-s",
            Self::Idle => "KiB/idle",
            Self::TlsRequest => "TLS µs/req",
            Self::H2Request => "h2 µs/req",
            Self::H2cRequest => "h2c µs/req",
            Self::Call => "gRPC µs/call",
            Self::TlsBodies => "TLS GiB/CPU-s",
            Self::Handshakes => "handshakes/CPU-s",
            Self::TlsIdle => "TLS KiB/idle",
        }
    }

    /// Whether it is about TLS or HTTP/2, which have a table of their own.
    pub(crate) fn is_edge(self) -> bool {
        self >= Self::TlsRequest
    }

    pub(crate) fn better(self) -> Better {
        match self {
            Self::Rate | Self::Bodies | Self::Connections | Self::TlsBodies | Self::Handshakes => {
                Better::More
            }
            Self::Request
            | Self::Median
            | Self::P99
            | Self::P999
            | Self::Connection
            | Self::Idle
            | Self::TlsRequest
            | Self::H2Request
            | Self::H2cRequest
            | Self::Call
            | Self::TlsIdle => Better::Less,
        }
    }

    pub(crate) fn goal(self) -> Option<Goal> {
        let goal = |against, bar, aim| Some(Goal { against, bar, aim });
        match self {
            Self::Request => goal(Against::BetterOfTwo, 0.75, Some(0.68)),
            Self::P99 | Self::P999 => goal(Against::BestPeer, 1.0, None),
            Self::Bodies => goal(Against::Nginx, 1.8, Some(2.4)),
            Self::Connection => goal(Against::BetterOfTwo, 1.0, Some(0.8)),
            Self::Idle => goal(Against::Nothing, 4.0, Some(1.5)),
            Self::TlsRequest => goal(Against::BetterOfTwo, 0.8, Some(0.7)),
            Self::H2Request => goal(Against::BetterOfTwo, 1.0, Some(0.85)),
            Self::Handshakes => goal(Against::BetterOfTwo, 1.0, Some(1.3)),
            Self::TlsIdle => goal(Against::Nothing, 16.0, Some(12.0)),
            Self::Rate
            | Self::Median
            | Self::Connections
            | Self::H2cRequest
            | Self::Call
            | Self::TlsBodies => None,
        }
    }
}

impl Better {
    /// Whether `a` is a worse ratio to have than `b`.
    pub(crate) fn is_worse(self, a: f64, b: f64) -> bool {
        match self {
            Self::Less => a > b,
            Self::More => a < b,
        }
    }

    /// Whether `value` reaches `goal`.
    pub(crate) fn reaches(self, value: f64, goal: f64) -> bool {
        match self {
            Self::Less => value <= goal,
            Self::More => value >= goal,
        }
    }
}

/// The middle value, or the mean of the two in the middle. Zero of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len() / 2), sorted.len() % 2) {
        (None, _) => 0.0,
        (Some(middle), 1) => *middle,
        (Some(upper), _) => f64::midpoint(sorted[sorted.len() / 2 - 1], *upper),
    }
}

/// The values with a quarter, half and three quarters of the others below them.
pub(crate) fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |quarter: usize| {
        sorted.get((sorted.len().saturating_sub(1) * quarter + 2) / 4).copied().unwrap_or_default()
    };
    [at(1), median(values), at(3)]
}

/// Half of the distance between the least and the greatest value, as a share of the median.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let (least, greatest) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), value| {
            (least.min(*value), greatest.max(*value))
        });
    let middle = median(values);
    if middle == 0.0 { 0.0 } else { (greatest - least) / 2.0 / middle.abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[]).to_bits(), 0.0_f64.to_bits());
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn the_middle_half_lies_between_the_quartiles() {
        assert_eq!(quartiles(&[5.0, 1.0, 3.0, 2.0, 4.0]), [2.0, 3.0, 4.0]);
        assert_eq!(quartiles(&[7.0]), [7.0; 3]);
        assert_eq!(quartiles(&[]), [0.0; 3]);
    }

    #[test]
    fn the_spread_is_a_share_of_the_median() {
        assert!((spread(&[9.0, 10.0, 12.0]) - 0.15).abs() < 1e-9);
        assert!(spread(&[5.0]).abs() < 1e-9);
    }

    #[test]
    fn a_goal_is_reached_from_its_own_side() {
        assert!(Better::Less.reaches(0.75, 0.75) && !Better::Less.reaches(0.76, 0.75));
        assert!(Better::More.reaches(1.8, 1.8) && !Better::More.reaches(1.7, 1.8));
    }
}
