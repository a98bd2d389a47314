//! The reader of Propolis JSON.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
