//! The log's device fails: no lookup is answered without its event, and the node is well again by itself, or after a start.
//! `LIMEN_DEVICE_LOOKUPS=1000` asks so many in each state.

use super::*;
use crate::{authority::Actor, event::What, evidence, record::WriteError};
use audit::{
    log::AppendError,
    storage::{Disk, Storage},
};
use std::{
    io,
    sync::{Condvar, Mutex, atomic::AtomicUsize},
    time::{Duration, Instant},
};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Well,
    /// A write fails, with EIO.
    Writes,
    Full,
    /// A write does not return.
    Hanging,
    /// A sync fails, with EIO.
    Syncs,
}

pub(super) struct Switch(Mutex<State>, Condvar);

impl Switch {
    pub(super) fn turn(&self, state: State) {
        *self.0.lock().unwrap() = state;
        self.1.notify_all();
    }
}

/// A disk that can be told to fail.
struct Device(Disk, Arc<Switch>);

impl Storage for Device {
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }
    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.0.create(name, content)
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let hanging = |state: &mut State| *state == State::Hanging;
        let state = *self.1.1.wait_while(self.1.0.lock().unwrap(), hanging).unwrap();
        match state {
            State::Writes => Err(io::Error::from_raw_os_error(5)),
            State::Full => Err(io::ErrorKind::StorageFull.into()),
            _ => self.0.append(bytes),
        }
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        let failing = *self.1.0.lock().unwrap() == State::Syncs;
        if failing { Err(io::Error::from_raw_os_error(5)) } else { self.0.sync() }
    }
}

/// A device that is well.
pub(super) fn switch() -> Arc<Switch> {
    Arc::new(Switch(Mutex::new(State::Well), Condvar::new()))
}

/// Opened again, with its log on such a device.
pub(super) fn open_on(house: House, setup: Setup, switch: &Arc<Switch>) -> House {
    let device = |disk| Device(disk, Arc::clone(switch));
    house.opened_by(|folder, ambient| Gallery::open_on(folder, setup, ambient, device))
}

#[test]
fn no_lookup_is_answered_while_the_logs_device_fails_and_the_node_recovers() {
    let lookups: usize = std::env::var("LIMEN_DEVICE_LOOKUPS").map_or(60, |count| count.parse().unwrap());
    let house = House::build();
    house.enrol("a", axis(0)).unwrap();
    let switch = switch();
    let mut house = open_on(house, setup(), &switch);
    for state in [State::Writes, State::Full, State::Hanging, State::Syncs] {
        house.ask(&utopia(), house.request(axis(0)), None).unwrap();
        switch.turn(state);
        // Many at a time: each waits as long as a caller would.
        let (next, house_ref) = (AtomicUsize::new(0), &house);
        let answered: usize = std::thread::scope(|scope| {
            let askers: Vec<_> = (0..lookups.min(250))
                .map(|_| {
                    scope.spawn(|| {
                        let mut answered = 0;
                        while next.fetch_add(1, Ordering::SeqCst) < lookups {
                            match house_ref.ask(&utopia(), house_ref.request(axis(0)), None) {
                                Ok(_) => answered += 1,
                                Err(LookupError::Node(WriteError::Log(error))) => {
                                    assert_eq!(error.passing(), state != State::Syncs, "{error}");
                                }
                                Err(error) => panic!("{error}"),
                            }
                        }
                        answered
                    })
                })
                .collect();
            askers.into_iter().map(|asker| asker.join().unwrap()).sum()
        });
        assert_eq!(answered, 0, "{state:?}");
        switch.turn(State::Well);
        let repaired = Instant::now();
        if state == State::Syncs {
            let refused = house.gallery.log_event(&Actor::node(), |_| What::ReadLog { leaf: 0 });
            assert_eq!(refused.err(), Some(AppendError::Poisoned));
            house = open_on(house, setup(), &switch);
        }
        while house.ask(&utopia(), house.request(axis(0)), None).is_err() {
            assert!(repaired.elapsed() < Duration::from_mins(1), "{state:?}: it does not recover");
            std::thread::sleep(Duration::from_millis(10));
        }
        told(&format!(
            "device: {lookups} lookups while {state:?}, 0 answered; well {} ms after",
            repaired.elapsed().as_millis()
        ));
    }
    house.gallery.check().unwrap();
    let mut count = 0;
    evidence::each_event(&house.gallery, |_, _| count += 1).unwrap();
    assert_eq!(count, house.gallery.log.head().tree.size());
}
