//! From a face image to a quality-checked template: the only room that sees a pixel.
//!
//! Images are foreign bytes, so all that looks at them runs in worker processes that confine themselves ([`worker`]); [`pool`] is
//! what the rest of the house talks to. The modules stand from the ground up: each may use only those named before it.

pub mod digest;

pub mod graph;

pub mod envelope;

pub mod decode;

pub mod description;

pub mod detect;

mod align;

pub mod embed;

pub mod model;

mod measure;

pub mod extract;

pub mod confine;

mod frame;

pub mod worker;

pub mod pool;
