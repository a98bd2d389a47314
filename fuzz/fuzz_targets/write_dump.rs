//! The writer of vcpu.dump/1, and its reader.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
