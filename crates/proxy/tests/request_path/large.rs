//! Large bodies: streamed, so that memory does not depend on their size.

use std::io::{Read, Write};

use crate::app::App;
use crate::world::Setup;

const SIZE: usize = 256 << 20;
const GROWTH_MAX: usize = 32 << 20;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_large_body_passes_both_ways_in_constant_memory() {
    // In a process of its own: the memory of other tests in this one would count too.
    let test = std::env::current_exe().unwrap();
    let child =
        std::process::Command::new(test).args(["--ignored", "--exact", "large::carry"]).output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

#[test]
#[ignore = "the child process of the test above"]
fn carry() {
    let app = App::playing(|mut visit| {
        visit.head();
        visit.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        let stream = visit.stream();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            // An echo of the length of the request is the answer.
            stream.get_mut().write_all(&buffer[..read]).unwrap();
        }
    });
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    let before = resident();
    let mut client = std::net::TcpStream::connect(world.address).unwrap();
    let mut sender = client.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        write!(sender, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n").unwrap();
        let chunk = vec![b'x'; 64 << 10];
        (0..SIZE / chunk.len()).for_each(|_| sender.write_all(&chunk).unwrap());
    });
    let (mut received, mut buffer, mut most) = (0, vec![0; 64 << 10], 0);
    while received < SIZE {
        let read = client.read(&mut buffer).unwrap();
        assert!(read > 0, "the answer ends after {received} bytes");
        received += read;
        most = most.max(resident());
    }
    sending.join().unwrap();
    assert!(most < before + GROWTH_MAX, "{before} bytes before, {most} at the most");
}
