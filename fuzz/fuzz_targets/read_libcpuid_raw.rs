//! The reader of libcpuid raw.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
