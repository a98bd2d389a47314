//! The laws of pools and baselines.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
