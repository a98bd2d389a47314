//! The reader of vcpu.policy/1.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
