//! Known tables in foreign formats.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
