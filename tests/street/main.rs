//! Street tests: one file a verb or a law.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene has failed")]

mod anchor;
mod authority;
mod backup;
mod bad_input;
mod bit_rot;
mod calibration;
mod care;
mod crash;
mod disk_full;
mod enrol;
mod erase;
mod evaluate;
mod generations;
mod grants;
mod hill_climbing;
mod hostile_files;
mod images;
mod io_faults;
mod log;
mod lookup;
mod overload;
mod photographs;
mod power;
mod real_faces;
mod receipts;
mod remote;
mod secrets;
mod subject_access;
mod tidy;
mod tls;
mod tools;
mod two_nations;
mod watchlists;
mod witness;
