//! The reader of vcpu.dump/1.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
