//! One guest, as the operator wants it.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
