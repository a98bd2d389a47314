//! Setting and getting features and fields.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
