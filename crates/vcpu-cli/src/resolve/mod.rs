//! Guests that are asked for by name: what a request means, and what comes nearest where it cannot be had.

pub(crate) mod missing;
pub(crate) mod nearest;
pub(crate) mod wish;

pub(crate) use missing::Missing;
pub(crate) use wish::Wish;
