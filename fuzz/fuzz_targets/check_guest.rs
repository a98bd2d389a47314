//! A guest on machines that it does not come from.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
