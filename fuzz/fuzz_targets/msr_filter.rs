//! Filters compiled from arbitrary rules.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
