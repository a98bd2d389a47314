//! The reader of AIDA64 text.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
