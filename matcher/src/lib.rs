//! The numbers of Limen: templates, scores and the search for them.
//!
//! Nothing here reads a file, a clock or chance, and no thread runs here but those of the rayon pool that
//! the caller passes in. This is the only room that may say `unsafe`, in [`kernel`].
//!
//! The modules stand from the ground up: each may use only those named before it.

pub mod kernel;

pub mod score;

pub mod template;

pub mod quality;

pub mod rows;

pub mod filter;

pub mod candidate;

pub mod quantize;

pub mod bytes;

pub mod projection;

pub mod bound;

pub mod plan;

pub mod coded;

pub mod index;

pub mod population;

pub mod rates;

pub mod calibration;
