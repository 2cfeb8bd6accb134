//! Every queue has a limit and says so; a stop finishes what was begun.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tests::*;

#[test]
fn a_full_queue_says_come_back_and_what_was_taken_is_answered() {
    let site = Site::found();
    let server = Server::start(
        site.folder.path(),
        &[("LIMEN_SERVE_LOOKUP_QUEUE", "1"), ("LIMEN_SERVE_SCAN_THREADS", "1")],
    );
    let clerk = server.actor(&site.clerk);
    (0..50).for_each(|i| drop(clerk.enrol(&site.list, &format!("p{i}"), i)));
    let (answered, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let guard = server.actor(&site.guard);
                for i in 0..60 {
                    let answer = guard.look_up(&site.list, i % 50);
                    match answer.status {
                        200 => {
                            assert_eq!(answer.body["decision"], "hit");
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        503 => {
                            assert_eq!(answer.body["type"], "urn:limen:problem:busy");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("{other}: {}", answer.body),
                    }
                }
            });
        }
    });
    assert_eq!(answered.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed), 960);
    assert!(
        answered.load(Ordering::Relaxed) > 0 && refused.load(Ordering::Relaxed) > 0,
        "{answered:?} {refused:?}"
    );
    assert_eq!(server.actor(&site.guard).look_up(&site.list, 1).status, 200);
}

#[test]
fn a_stop_finishes_the_request_that_is_being_answered() {
    let site = Site::found();
    let server = Server::start(site.folder.path(), &[("LIMEN_SERVE_INSECURE_DEV", "true")]);
    let body = lookup(&site.list, 1).to_string();
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let (length, token) = (body.len(), &site.guard);
    write!(stream, "POST /v1/lookups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n").unwrap();
    stream.write_all(&body.as_bytes()[..100]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let rest = body.as_bytes()[100..].to_vec();
    let answer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stream.write_all(&rest).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(server.terminate(), "a stop on request is in order");
    let answer = answer.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_client_that_does_not_finish_its_head_is_cut_off() {
    let site = Site::found();
    let patience = ("LIMEN_SERVE_RECEIVE_TIMEOUT_S", "1");
    let cut_off = |server: &Server, begun: &[u8]| {
        let address = server.url.split("://").nth(1).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(begun).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        // Closed by the server, with or without a word: not by the read's own time limit.
        let ended = stream.read_to_end(&mut rest);
        assert!(!matches!(ended, Err(ref e) if e.kind() == std::io::ErrorKind::WouldBlock), "{ended:?}");
    };
    let head = b"POST /v1/lookups HTTP/1.1\r\nhost: x\r\n";
    let plain = Server::start(site.folder.path(), &[patience, ("LIMEN_SERVE_INSECURE_DEV", "true")]);
    cut_off(&plain, head);
    drop(plain);
    // Nor who does not finish, or begin, a handshake.
    let server = Server::start(site.folder.path(), &[patience]);
    cut_off(&server, &[22, 3, 1, 2, 0]);
    cut_off(&server, b"");
}
